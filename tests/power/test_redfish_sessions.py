"""Sessions that are kept over many polls, and ended."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from tests.power.redfish_bmc import SESSIONS, SYSTEM, RedfishBmc, serving

from muster.power import redfish, redfishsession
from muster.power.drivers import PowerError, Seen, check

Look = Callable[..., Awaitable[Seen]]
BEGUN, ASKED = ("POST", SESSIONS), ("GET", SYSTEM)


def polled(bmc: RedfishBmc, work: Callable[[Look], Awaitable[Any]]) -> Any:
    """Play the BMC and work with one poller, which is closed before the BMC ends."""

    async def play() -> Any:
        async with serving(bmc.handle, None) as url:
            given = {"power_address": url, "power_user": "admin", "power_pass": "hush"}
            given = check("redfish", given | {"node_id": "1", "tls": "insecure"})
            poller = redfish.Poller()
            try:
                return await work(lambda **changes: poller.look(given | changes))
            finally:
                await poller.close()

    return asyncio.run(play())


def test_one_session_serves_all_polls_and_is_ended_at_the_end() -> None:
    bmc = RedfishBmc()
    bmc.sessions = {}

    async def work(look: Look) -> list[str]:
        return [(await look()).state for _ in range(3)]

    assert polled(bmc, work) == ["off"] * 3
    assert bmc.heard == [BEGUN, *[ASKED] * 3, ("DELETE", f"{SESSIONS}/1")]
    assert bmc.sessions == {}


def test_a_session_that_the_bmc_ended_is_begun_again() -> None:
    bmc = RedfishBmc()
    bmc.sessions = {}

    async def work(look: Look) -> str:
        await look()
        assert bmc.sessions
        bmc.sessions.clear()
        return (await look()).state

    assert polled(bmc, work) == "off"
    assert bmc.heard[:5] == [BEGUN, ASKED, ASKED, BEGUN, ASKED]
    assert bmc.sessions == {}


def test_a_bmc_without_sessions_is_asked_for_one_once_and_then_with_the_password() -> None:
    bmc = RedfishBmc()

    async def work(look: Look) -> list[str]:
        return [(await look()).state for _ in range(3)]

    assert polled(bmc, work) == ["off"] * 3
    assert bmc.heard == [BEGUN, *[ASKED] * 3]


def test_a_bmc_with_no_session_left_is_asked_with_the_password() -> None:
    bmc = RedfishBmc()
    full = web.HTTPServiceUnavailable(headers={"Retry-After": "30"})

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == SESSIONS:
            bmc.heard.append(BEGUN)
            return web.Response(status=full.status, headers=full.headers)
        return await RedfishBmc.handle(bmc, request)

    bmc.handle = handle  # type: ignore[method-assign]

    async def work(look: Look) -> list[str]:
        return [(await look()).state for _ in range(2)]

    assert polled(bmc, work) == ["off"] * 2
    assert bmc.heard == [BEGUN, ASKED, ASKED]


def test_a_changed_password_is_tried_once_a_look() -> None:
    bmc = RedfishBmc()
    bmc.sessions = {}

    async def work(look: Look) -> str:
        await look()
        assert bmc.sessions is not None
        bmc.sessions.clear()
        bmc.password = "changed"
        with pytest.raises(PowerError, match="wrong password for user 'admin'") as refused:
            await look()
        assert refused.value.permanent
        return (await look(power_pass="changed")).state

    assert polled(bmc, work) == "off"
    assert bmc.heard[2:6] == [ASKED, BEGUN, BEGUN, ASKED]


def test_machines_behind_one_bmc_share_a_session() -> None:
    bmc = RedfishBmc()
    bmc.sessions = {}

    async def work(look: Look) -> int:
        await asyncio.gather(*(look() for _ in range(5)))
        return len(bmc.sessions or {})

    assert polled(bmc, work) == 1
    assert bmc.sessions == {}


def test_a_session_that_is_used_no_more_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    bmc = RedfishBmc()
    bmc.sessions = {}

    async def work(look: Look) -> None:
        await look()
        monkeypatch.setattr(redfishsession, "UNUSED_S", -1.0)
        await look(power_user="nobody", power_pass="wrong", node_id="1")

    with pytest.raises(PowerError):
        polled(bmc, work)
    assert ("DELETE", f"{SESSIONS}/1") in bmc.heard
