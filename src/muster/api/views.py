# SPDX-License-Identifier: Apache-2.0
"""Saved views of the list of machines, personal and shared."""

from dataclasses import dataclass
from typing import Annotated

from litestar import delete, get, put
from litestar.params import Parameter

from muster.lifecycle import views as verbs
from muster.store import people
from muster.store.engine import Store
from muster.store.people import User, View
from muster.wire.codec import Limited, limited

Name = Annotated[str, Parameter(max_length=64, description="A view's name.")]


@dataclass(frozen=True)
class Viewed(Limited):
    """`query` as in a page's address: filter=memory+%3E+1TiB&sort=-memory&columns=state,memory.

    It may say filter, search, state, sort, columns and limit. Sharing needs the role operator.
    """

    query: str = limited(most=verbs.LIMIT)
    shared: bool = False


@get("/views", sync_to_thread=True)
def list_views(store: Store, user: User) -> list[View]:
    """Your views, and those that others share."""
    with store.read() as tx:
        return people.views_of(tx, user.id)


@get("/views/{view:str}", sync_to_thread=True)
def get_view(view: Name, store: Store, user: User) -> View:
    """One of yours by its name, or else one that another shares."""
    with store.read() as tx:
        return people.view(tx, user.id, view)


@put("/views/{view:str}", sync_to_thread=True)
def put_view(view: Name, data: Viewed, store: Store, user: User) -> View:
    """Save a list under a name of yours."""
    return verbs.keep(store, user, view, data.query, shared=data.shared)


@delete("/views/{view:str}", sync_to_thread=True)
def delete_view(
    view: Name,
    store: Store,
    user: User,
    owner: Annotated[str, Parameter(max_length=63, description="Whose; only for admins.")] = "",
) -> None:
    """Forget a view; the machines stay."""
    verbs.drop(store, user, view, owner=owner)


ROUTES = [list_views, get_view, put_view, delete_view]
