"""What leaves the socket, byte for byte."""

import asyncio
import threading
from typing import Any

import pytest
import uvicorn
from tests.server.running import wait_for

from muster.server.headers import Protocol


async def _app(scope: Any, _receive: Any, send: Any) -> None:
    body = b"HTTP/1.1 is no head here:\r\ncontent-length: 9\r\n"
    headers = [(b"content-length", str(len(body)).encode()), (b"x-other", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body if scope["method"] == "GET" else b""})


async def _ask(port: int, method: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_grub_finds_the_length_under_the_name_it_compares(method: str) -> None:
    server = uvicorn.Server(
        uvicorn.Config(_app, port=0, http=Protocol, log_config=None, lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    answer = asyncio.run(_ask(server.servers[0].sockets[0].getsockname()[1], method))
    server.should_exit = True
    thread.join(10)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nContent-Length: 46" in head
    assert b"\r\ncontent-length:" not in head
    assert b"\r\nx-other: 1" in head
    assert (body == b"") == (method == "HEAD")
    assert method == "HEAD" or body.endswith(b"\r\ncontent-length: 9\r\n")
