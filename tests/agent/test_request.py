"""The agent's own HTTP request, against servers that are kind, hasty, cut off and hostile."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.agent.link import Link, Refused, Unreachable
from muster.agent.request import Answer, BadAnswer, _answer, address, request

Say = Callable[[bytes], str]


class Echo(BaseHTTPRequestHandler):
    """Says what it was told; as the standard library's server does it, which is not ours."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("X-Said", f"{self.path} {self.headers['Authorization']}")
        self.send_header("X-Host", self.headers["Host"])
        self.end_headers()
        self.wfile.write(body[::-1])

    def do_GET(self) -> None:
        self.send_response(503)
        self.send_header("retry-after", "7")
        self.end_headers()
        self.wfile.write(b'{"detail": "later"}')

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def says() -> Iterator[Say]:
    """A server that answers one request with these bytes and closes."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def once(answer: bytes) -> str:
            def serve() -> None:
                line, _ = listener.accept()
                with line:
                    line.recv(65536)
                    line.sendall(answer)

            threading.Thread(target=serve, daemon=True).start()
            return f"127.0.0.1:{listener.getsockname()[1]}"

        yield once


def ask(place: str, limit: int = 1000) -> Answer:
    return request(place, "/x", None, {}, timeout=5, limit=limit)


def test_a_request_tells_all_and_hears_all(echo: str) -> None:
    body = bytes(range(256)) * 4000
    answer = request(
        echo, "/agent/hello", body, {"Authorization": "Bearer t"}, timeout=5, limit=len(body)
    )
    assert (answer.status, answer.reason, answer.body) == (201, "Created", body[::-1])
    assert answer.headers["x-said"] == "/agent/hello Bearer t"
    assert answer.headers["x-host"] == echo


def test_a_server_that_is_busy_says_for_how_long(echo: str) -> None:
    with pytest.raises(Unreachable, match="HTTP 503: later") as refusal:
        Link(f"http://{echo}", print).once("/agent/hello")
    assert refusal.value.wait == 7


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "no answer came"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 OK\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "3 of 5 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000, "longer than 1000 bytes"),
    ],
)
def test_what_is_no_whole_answer_is_asked_for_again(says: Say, answer: bytes, told: str) -> None:
    with pytest.raises(BadAnswer, match=told):
        ask(says(answer))
    with pytest.raises(Unreachable):
        Link(f"http://{says(b'')}", print).once("/x")


def test_an_answer_without_a_length_ends_with_its_connection(says: Say) -> None:
    assert ask(says(b"HTTP/1.1 200\r\nServer: x\r\n\r\nall of it")).body == b"all of it"


def test_a_refusal_without_json_is_told_by_its_reason(says: Say) -> None:
    with pytest.raises(Refused, match="HTTP 404: Not Found"):
        Link(f"http://{says(b'HTTP/1.1 404 Not Found' + bytes([13, 10] * 2))}", print).once("/x")


def test_a_token_cannot_add_a_header() -> None:
    with pytest.raises(BadAnswer, match="no plain text"):
        request("127.0.0.1:9", "/", None, {"A": "b\r\nC: d"}, timeout=1, limit=1)


@pytest.mark.parametrize(
    ("place", "host", "port"),
    [
        ("10.0.0.1:8472", "10.0.0.1", 8472),
        ("muster", "muster", 80),
        ("[fd00::1]:8472", "fd00::1", 8472),
        ("[fd00::1]", "fd00::1", 80),
    ],
)
def test_a_server_is_found_by_name_ipv4_or_ipv6(place: str, host: str, port: int) -> None:
    assert address(place) == (host, port)


@given(
    st.binary()
    | st.builds(b"HTTP/1.1 200 x\r\n%b\r\n\r\n%b".__mod__, st.tuples(*[st.binary()] * 2))
)
def test_whatever_comes_is_an_answer_or_a_bad_one(came: bytes) -> None:
    try:
        answer = _answer(bytearray(came))
    except BadAnswer:
        return
    assert came.endswith(answer.body)
    assert answer.status >= 0
