"""A real server on loopback, in this process, that a test can stop and start again."""

import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn

from muster.images.library import Library
from muster.lifecycle.keyring import Keyring
from muster.lifecycle.policy import Policy
from muster.server.app import application
from muster.store.engine import Store


def wait_for(what: Callable[[], Any], *, seconds: float = 20.0) -> Any:
    """The first true answer of `what`; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return found


class LiveServer:
    """uvicorn in a thread, always on the same port."""

    def __init__(self, store: Store, library: Library, **policy: Any) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.policy = Policy(url=self.url, **policy)
        self._store = store
        self._library = library
        self._keyring = Keyring(Path(tempfile.mkdtemp(prefix="muster-keys-")) / "secrets.key")
        self._keyring.create()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        app = application(self._store, self.policy, self._library, keyring=self._keyring)
        config = uvicorn.Config(
            app, port=self.port, log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        wait_for(lambda: self._server is not None and self._server.started)

    def stop(self) -> None:
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join(timeout=10)
            assert not self._thread.is_alive()


@contextlib.contextmanager
def live_server(store: Store, library: Library, **policy: Any) -> Iterator[LiveServer]:
    server = LiveServer(store, library, **policy)
    server.start()
    try:
        yield server
    finally:
        server.stop()
