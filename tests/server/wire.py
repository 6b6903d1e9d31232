"""The long wire between a relay, or a machine, and the server: counts, cuts and damages."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Wire:
    """Carries TCP from `port` to the server's port until it is closed.

    `carried`: bytes that came from the server. `cut_at`: the connection that carries that byte is
    broken off there, once. `damage_at`: that byte arrives as another, once.
    """

    def __init__(self, to: int) -> None:
        self._to = to
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.carried = 0
        self.cut_at = 0
        self.damage_at = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._to), timeout=5)
                except OSError:
                    near.close()
                    continue
                far.settimeout(None)
                threading.Thread(target=self._forth, args=(near, far), daemon=True).start()
                threading.Thread(target=self._back, args=(far, near), daemon=True).start()

    def _forth(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(65536):
                far.sendall(data)
        _shut(far)

    def _back(self, far: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(65536):
                kept = self._pass(data)
                near.sendall(kept)
                if len(kept) < len(data):
                    break
        _shut(near, far)

    def _pass(self, data: bytes) -> bytes:
        with self._lock:
            first, self.carried = self.carried, self.carried + len(data)
            if first <= self.damage_at < self.carried and self.damage_at:
                at, self.damage_at = self.damage_at - first, 0
                data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            if first <= self.cut_at < self.carried and self.cut_at:
                at, self.cut_at = self.cut_at - first, 0
                data = data[:at]
        return data


def _shut(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def wire(to: int) -> Iterator[Wire]:
    made = Wire(to)
    try:
        yield made
    finally:
        made.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
