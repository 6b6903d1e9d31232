# SPDX-License-Identifier: Apache-2.0
"""Saved views: a list of machines as somebody wants to see it again, alone or with everybody."""

from urllib.parse import parse_qsl, urlencode

from muster.lifecycle import people as access
from muster.lifecycle.secrets import Forbidden
from muster.machine.grammar import BadExpression, parse
from muster.store import people
from muster.store.engine import Store
from muster.store.people import User, View
from muster.wire.codec import BadMessage

ASKS = ("filter", "search", "state", "sort", "columns", "limit")
"""What a view may say; it never says where in the list one was."""

LIMIT = 4096


def keep(store: Store, user: User, name: str, query: str, *, shared: bool) -> View:
    """Save a list under a name; raises BadMessage, and Forbidden for a viewer who shares."""
    if not name.strip() or not name.isprintable() or len(name) > 64:
        raise BadMessage("name", "a line of 1 to 64 characters")
    if shared and not access.may(user, "operator"):
        told = f"{user.name} is {user.role}; to share a view needs the role operator"
        raise Forbidden(told, status=403)
    clean = checked(query)
    with store.write() as tx:
        people.keep_view(tx, user.id, name, clean, shared=shared)
        return next(
            v for v in people.views_of(tx, user.id) if (v.name, v.owner) == (name, user.name)
        )


def checked(query: str) -> str:
    """The same without what is empty; raises BadMessage for what no list can be asked."""
    if len(query) > LIMIT:
        raise BadMessage("query", f"longer than {LIMIT} characters")
    asked = [(key, value) for key, value in parse_qsl(query) if value]
    for key, value in asked:
        if key not in ASKS:
            raise BadMessage("query", f"{key!r} is none of {', '.join(ASKS)}")
        try:
            if key == "filter":
                parse(value)
        except BadExpression as error:
            raise BadMessage("query", str(error)) from error
    return urlencode(asked)


def drop(store: Store, user: User, name: str, *, owner: str = "") -> None:
    """Forget one's own; an admin may forget another one's. Raises Missing, Forbidden."""
    if owner and owner != user.name and not access.may(user, "admin"):
        raise Forbidden(f"the view {name!r} is {owner}'s; an admin may take it away", status=403)
    with store.write() as tx:
        people.drop_view(tx, people.find(tx, owner or user.name).id, name)
