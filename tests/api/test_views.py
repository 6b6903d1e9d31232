"""Saved views of the list of machines, and the orders that they may ask for."""

import pytest
from tests.api.desk import Desk
from tests.api.test_filtering import GIB, enlist, listed, survey

from muster.store.search import ORDERS

BIG = {"query": "filter=memory+%3E+1TiB&sort=-memory&columns=state,memory"}


def names(desk: Desk, role: str) -> list[tuple[str, str]]:
    return [(one["name"], one["owner"]) for one in desk.get("/views", role=role)]


def test_a_view_is_its_owner_s_until_it_is_shared(desk: Desk) -> None:
    kept = desk.ask("PUT", "/views/big", role="operator", json=BIG).json()
    assert kept["query"] == "filter=memory+%3E+1TiB&sort=-memory&columns=state%2Cmemory"
    owner = kept["owner"]
    assert names(desk, "operator") == [("big", owner)]
    assert names(desk, "viewer") == []
    desk.ask("PUT", "/views/big", role="operator", json=BIG | {"shared": True})
    assert names(desk, "viewer") == [("big", owner)]
    assert desk.ask("DELETE", "/views/big", role="viewer").status_code == 404
    answer = desk.ask("DELETE", "/views/big", role="viewer", params={"owner": owner})
    assert answer.status_code == 403
    assert "an admin may take it away" in answer.json()["detail"]
    assert desk.ask("DELETE", "/views/big", params={"owner": owner}).status_code == 204
    assert names(desk, "operator") == []


def test_a_viewer_keeps_views_and_shares_none(desk: Desk) -> None:
    assert desk.ask("PUT", "/views/mine", role="viewer", json=BIG).status_code == 200
    answer = desk.ask("PUT", "/views/mine", role="viewer", json=BIG | {"shared": True})
    assert (answer.status_code, "role operator" in answer.text) == (403, True)


@pytest.mark.parametrize("query", ["after=m1", "filter=memroy+%3E+1", "x=1"])
def test_a_view_that_no_list_can_show_is_refused(desk: Desk, query: str) -> None:
    answer = desk.ask("PUT", "/views/odd", json={"query": query})
    assert (answer.status_code, "query" in answer.text) == (400, True)


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_goes_through_all_machines_page_by_page(desk: Desk, order: str) -> None:
    enlist(desk, 1, survey(768 * GIB, "Intel"))
    enlist(desk, 2, survey(256 * GIB, "Intel"))
    enlist(desk, 3)
    desk.ask("PATCH", "/machines/m02", json={"pool": "lab~1" if order == "name" else "lab"})
    for sign in ("", "-"):
        pages, after = [], ""
        while True:
            page = listed(desk, "", sort=sign + order, limit=1, after=after)
            pages += [machine["name"] for machine in page["items"]]
            if not (after := page["next"]):
                break
        assert sorted(pages) == ["m01", "m02", "m03"]
        if order == "memory":
            assert pages == (["m01", "m02", "m03"] if sign else ["m03", "m02", "m01"])
        if order == "pool":
            assert pages[0 if sign else 2] == "m02"


def test_a_place_in_another_order_is_refused(desk: Desk) -> None:
    answer = desk.ask("GET", "/machines", params={"sort": "memory", "after": "m01"})
    assert answer.status_code == 400
    assert "no place in a list by memory" in answer.text
    assert desk.ask("GET", "/machines", params={"sort": "colour"}).status_code == 400
