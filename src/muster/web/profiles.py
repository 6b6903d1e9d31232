# SPDX-License-Identifier: Apache-2.0
"""Expected hardware: profiles from golden machines, what deviates from them, the odd one out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import yaml
from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, Parameter
from litestar.response import Redirect

from muster.lifecycle import profiles as verbs
from muster.machine.tagging import NAME
from muster.scripts.safeyaml import Loader, is_plain
from muster.store import machines, profiles
from muster.store.engine import Conflict, Missing, Store
from muster.web.machines import fields
from muster.web.page import page
from muster.web.session import AnyRequest, Looking, check_form
from muster.wire.codec import BadMessage

Form = Annotated[dict[str, Any], Body(media_type=RequestEncodingType.URL_ENCODED)]
Name = Annotated[str, Parameter(max_length=64, pattern=NAME)]
Line = Annotated[str, Parameter(max_length=256)]
GOLDEN = 100
"""Machines that one profile is learned from at most."""
TEXT = 256 * 1024


@get("/profiles", sync_to_thread=True)
def every(request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """All of them, and the models whose machines can be compared without one."""
    with store.read() as tx:
        found, models = profiles.some(tx), machines.models(tx)
    return page(request, "profiles.html", looking, profiles=found, models=models)


@get("/profiles/-/odd-ones", sync_to_thread=True)
def odd(
    request: AnyRequest, store: Store, looking: Looking, product: Line, vendor: Line = ""
) -> Response[Any]:
    """Machines of one model that are not as most others of it."""
    found = verbs.odd_ones(store, product, vendor=vendor)
    return page(
        request, "odd_ones.html", looking, held=found, product=product, vendor=vendor,
        most=verbs.ODD_LIMIT,
    )  # fmt: skip


@post("/profiles/-/new", status_code=200, sync_to_thread=True)
def new(data: Form, request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """The form to learn one from machines that are as all should be."""
    check_form(request, looking, data)
    looking.need("operator")
    with store.read() as tx:
        golden = [machines.find(tx, one) for one in _machines(data)]
    models = {one.product for one in golden if one.product}
    product = next(iter(models)) if len(models) == 1 else ""
    condition = f'product = "{product}"' if product and '"' not in product else ""
    return page(
        request, "profile_learn.html", looking, names=" ".join(one.name for one in golden),
        condition=condition, name="", comment="", wrong="", fields=fields(),
    )  # fmt: skip


def _machines(form: dict[str, Any]) -> list[str]:
    given = form.get("machine", [])
    return [str(one)[:63] for one in (given if isinstance(given, list) else [given])][:GOLDEN]


@post("/profiles/-/learn", sync_to_thread=True)
def learn(
    data: Form, request: AnyRequest, store: Store, looking: Looking, now: datetime
) -> Response[Any]:
    """Make or replace a profile from golden machines."""
    check_form(request, looking, data)
    looking.need("operator")
    form = {name: str(data.get(name, "")) for name in ("name", "names", "condition", "comment")}
    name, golden = form["name"].strip(), form["names"].replace(",", " ").split()
    try:
        if len(golden) > GOLDEN:
            raise BadMessage("machines", f"{len(golden)} are named; at most {GOLDEN}")
        verbs.learn(store, name, golden, condition=form["condition"].strip(),
                    comment=form["comment"][:2000], actor=looking.user.name, now=now)  # fmt: skip
    except (BadMessage, Missing, Conflict) as error:
        return page(
            request, "profile_learn.html", looking, status=400, name=name, names=form["names"],
            condition=form["condition"], comment=form["comment"], wrong=str(error), fields=fields(),
        )  # fmt: skip
    return Redirect(f"/profiles/{name}", status_code=303)


@get("/profiles/{profile:str}", sync_to_thread=True)
def one(profile: Name, request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """What is expected, and what deviates from it."""
    with store.read() as tx:
        row = profiles.find(tx, profile)
    text = yaml.safe_dump(row.expected, sort_keys=False, allow_unicode=True,
                          default_flow_style=None)  # fmt: skip
    return page(request, "profile.html", looking, row=row, text=text, wrong="", fields=fields())


@get("/profiles/{profile:str}/deviations", sync_to_thread=True)
def deviations(
    profile: Name,
    request: AnyRequest,
    store: Store,
    looking: Looking,
    after: Annotated[str, Parameter(max_length=32)] = "",
    right: Annotated[int, Parameter(ge=0, le=10**9)] = 0,
    wrong: Annotated[int, Parameter(ge=0, le=10**9)] = 0,
) -> Response[Any]:
    """The next machines that are not as expected; the part itself asks for the one behind it."""
    found = verbs.held_against(store, profile, after=after)
    deviating = [one for one in found.items if one.deviations]
    part = "deviations.html" if request.headers.get("hx-request") else "deviations_page.html"
    return page(
        request, part, looking, profile=profile, held=deviating, following=found.next,
        right=right + len(found.items) - len(deviating), wrong=wrong + len(deviating),
    )  # fmt: skip


@post("/profiles/{profile:str}", sync_to_thread=True)
def change(
    profile: Name, data: Form, request: AnyRequest, store: Store, looking: Looking, now: datetime
) -> Response[Any]:
    """Change what is expected, or take the profile away."""
    check_form(request, looking, data)
    looking.need("operator")
    actor = looking.user.name
    if data.get("do") == "delete":
        verbs.delete(store, profile, actor=actor, now=now)
        return Redirect("/profiles", status_code=303)
    text = str(data.get("expected", ""))[:TEXT]
    with store.read() as tx:
        row = profiles.find(tx, profile)
    condition = str(data.get("condition", "")).strip()
    comment = str(data.get("comment", ""))[:2000]
    try:
        verbs.put(store, profile, condition=condition, profile=_expected(text), comment=comment,
                  actor=actor, now=now)  # fmt: skip
    except BadMessage as error:
        return page(
            request, "profile.html", looking, status=400, row=row, text=text, wrong=str(error),
            fields=fields(),
        )  # fmt: skip
    return Redirect(f"/profiles/{profile}", status_code=303)


def _expected(text: str) -> dict[str, Any]:
    try:
        told = yaml.load(text, Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadMessage("expected", " ".join(str(error).split())[:300]) from error
    if not isinstance(told, dict) or not is_plain(told):
        raise BadMessage("expected", "must be kinds of parts with what is expected of them")
    return told


ROUTES: Sequence[Any] = [every, odd, new, learn, one, deviations, change]
