# SPDX-License-Identifier: Apache-2.0
"""Your account and keys; for admins users and what the server is set to."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect

from muster.lifecycle import accounts, people
from muster.lifecycle.policy import Policy
from muster.lifecycle.secrets import Forbidden
from muster.store import people as rows
from muster.store.engine import Conflict, Store
from muster.web.page import page
from muster.web.session import COOKIE, AnyRequest, Looking, check_form
from muster.wire.codec import BadMessage

Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


@get("/settings", sync_to_thread=True)
def show(
    request: AnyRequest, store: Store, policy: Policy, looking: Looking, now: datetime
) -> Response[Any]:
    """The page."""
    return _shown(request, store, policy, looking, now)


def _shown(
    request: AnyRequest, store: Store, policy: Policy, looking: Looking, now: datetime,
    *, wrong: str = "", key: str = "", status: int = 200,
) -> Response[Any]:  # fmt: skip
    with store.read() as tx:
        users = rows.every_user(tx) if looking.may("admin") else []
        keys = rows.live_keys(tx, looking.user.id, now)
    return page(
        request, "settings.html", looking, status=status, users=users, keys=keys, wrong=wrong,
        key=key, policy=asdict(policy) if looking.may("admin") else {}, roles=people.ROLES,
        least=people.PASSWORD_LEAST,
    )  # fmt: skip


@post("/settings", status_code=200, sync_to_thread=True)
def change(
    data: Form, request: AnyRequest, store: Store, policy: Policy, looking: Looking, now: datetime
) -> Response[Any]:
    """One form of the page; what is refused is told there."""
    check_form(request, looking, data)
    key = ""
    try:
        if data.get("do") == "key":
            key = accounts.make_key(store, looking.user, data.get("name", ""), now)
        else:
            _change(data, store, looking, request.cookies.get(COOKIE, ""), now)
            return Redirect("/settings", status_code=303)
    except (Conflict, Forbidden, BadMessage) as error:
        return _shown(request, store, policy, looking, now, wrong=str(error), status=400)
    return _shown(request, store, policy, looking, now, key=key)


def _change(form: Form, store: Store, looking: Looking, session: str, now: datetime) -> None:
    actor = looking.user.name
    do, name, password = form.get("do"), form.get("name", ""), form.get("password", "")
    if do == "close-key":
        accounts.close_key(store, looking.user, int(form.get("key") or 0), now)
    elif do == "password":
        # Who finds an open session must not be able to take the account over.
        people.check_own(store, looking.user, form.get("old", ""))
        accounts.change(store, actor, password=password, but=session, actor=actor, now=now)
    else:
        looking.need("admin")
        if do == "add":
            role = form.get("role", "viewer")
            accounts.add(store, name, role=role, password=password, actor=actor, now=now)
        elif do == "role":
            accounts.change(store, name, role=form.get("role", ""), actor=actor, now=now)
        elif do == "reset":
            accounts.change(store, name, password=password, actor=actor, now=now)
        elif do == "remove":
            accounts.remove(store, name, actor=actor, now=now)
        else:
            raise Conflict(f"do: {do!r} is nothing that can be done here")


ROUTES = [show, change]
