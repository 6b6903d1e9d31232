import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from muster.power import webhook
from muster.power.drivers import PowerError, check


class Switch:
    """A real HTTP server on loopback; `answer` is what it says, `heard` what it was asked."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, bytes]] = []
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = says("")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.heard.append((request.method, request.path, await request.read()))
        return await self.answer(request)

    def use(self, verb: str, **changes: str) -> str | None:
        """Call the driver while the server runs."""

        async def serve() -> str | None:
            application = web.Application()
            application.router.add_route("*", "/{any:.*}", self.handle)
            runner = web.AppRunner(application, shutdown_timeout=0.1)
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                root = "http://{}:{}".format(*runner.addresses[0][:2])
                uris = {f"power_{what}_uri": f"{root}/{what}" for what in ("on", "off", "query")}
                parameters = check("webhook", uris | changes)
                self.root = root
                return await getattr(webhook, verb)(parameters)
            finally:
                await runner.cleanup()

        return asyncio.run(serve())


def says(text: str | bytes, status: int = 200, **headers: str):
    async def answer(_: web.Request) -> web.StreamResponse:
        body = text.encode() if isinstance(text, str) else text
        return web.Response(body=body, status=status, headers=headers)

    return answer


@pytest.fixture
def switch() -> Switch:
    return Switch()


@pytest.mark.parametrize(
    ("answer", "changes", "state"),
    [
        ('{"status": "running"}', {}, "on"),
        ('{"status": "stopped"}', {}, "off"),
        ('{"status": "paused"}', {}, "unknown"),
        ("", {}, "unknown"),
        ("\x00\xff garbage", {}, "unknown"),
        (b"\xff\xfe status: running", {}, "on"),
        ("<PowerState>On</PowerState>", {"power_on_regex": "State>On<"}, "on"),
        ("UP", {"power_on_regex": "^UP$", "power_off_regex": "^DOWN$"}, "on"),
        ("DOWN", {"power_on_regex": "^UP$", "power_off_regex": "^DOWN$"}, "off"),
    ],
)
def test_the_answer_is_read_by_regular_expressions(
    switch: Switch, answer: str | bytes, changes: dict, state: str
) -> None:
    switch.answer = says(answer)
    assert switch.use("state", **changes) == state
    assert switch.heard == [("GET", "/query", b"")]


@pytest.mark.parametrize("verb", ["on", "off"])
def test_it_switches_with_an_empty_post(switch: Switch, verb: str) -> None:
    switch.use(verb)
    assert switch.heard == [("POST", f"/{verb}", b"")]


def test_an_answer_that_comes_in_pieces_is_read_whole(switch: Switch) -> None:
    async def in_pieces(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b'{"sta', b'tus": ', b'"running"}'):
            await response.write(piece)
            await asyncio.sleep(0)
        await response.write_eof()
        return response

    switch.answer = in_pieces
    assert switch.use("state") == "on"


def test_an_answer_without_end_is_read_to_its_limit(switch: Switch) -> None:
    switch.answer = says(b"x" * webhook._ANSWER_LIMIT * 4 + b"status: running")
    assert switch.use("state") == "unknown"


def failure(switch: Switch, verb: str, **changes: str) -> PowerError:
    with pytest.raises(PowerError) as failed:
        switch.use(verb, **changes)
    return failed.value


@pytest.mark.parametrize("status", [302, 307, 401, 404, 500, 503])
def test_an_answer_that_is_no_success_is_a_failure_that_may_pass(
    switch: Switch, status: int
) -> None:
    switch.answer = says("status: running", status=status, Location="/elsewhere")
    for verb, told in [("state", "GET {}/query"), ("on", "POST {}/on"), ("off", "POST {}/off")]:
        error = failure(switch, verb)
        expected = f"{told.format(switch.root)}: HTTP {status}; is the URI right?"
        assert (str(error), error.permanent) == (expected, False)
    assert [path for _, path, _ in switch.heard] == ["/query", "/on", "/off"]


def test_a_switch_that_does_not_answer_is_left_in_time(
    switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "_TIMEOUT", aiohttp.ClientTimeout(total=0.2))

    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    switch.answer = never
    error = failure(switch, "on")
    assert str(error) == f"POST {switch.root}/on: no answer within 0.2 s"
    assert not error.permanent


def test_a_connection_that_breaks_is_a_failure_that_may_pass(switch: Switch) -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    switch.answer = breaks
    error = failure(switch, "state")
    assert str(error).startswith(f"GET {switch.root}/query: ")
    assert not error.permanent


def test_a_switch_that_is_not_there_is_named(switch: Switch) -> None:
    error = failure(switch, "state", power_query_uri="http://127.0.0.1:1/query")
    assert str(error).startswith("GET http://127.0.0.1:1/query: Cannot connect to host")
    assert not error.permanent


@pytest.mark.parametrize("uri", ["nonsense", "http://", "http://[::1", "ftp://switch/on"])
def test_what_is_no_uri_fails_for_good(switch: Switch, uri: str) -> None:
    error = failure(switch, "on", power_on_uri=uri)
    assert (str(error), error.permanent) == (f"{uri!r} is not a URI of http or https", True)


def test_what_is_no_regular_expression_fails_for_good(switch: Switch) -> None:
    error = failure(switch, "state", power_on_regex="(running")
    assert str(error) == (
        "power_on_regex: '(running' is not a regular expression:"
        " missing ), unterminated subpattern at position 0"
    )
    assert error.permanent
