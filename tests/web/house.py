"""A real server on loopback, and machines that speak the agent's protocol to it."""

import base64
import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from tests.api.desk import OUTPUTS, Desk
from tests.server.shelf import stocked
from tests.web.browsing import PASSWORD

from muster.images.library import Library
from muster.lab.launch import open_listener
from muster.lifecycle import people as verbs
from muster.server.app import application
from muster.store.engine import Store

ROLES = ("viewer", "operator", "admin")
LIMIT_S = 30.0


def utc_now() -> datetime:
    return datetime.now(UTC)


class House(Desk):
    """The application behind a real socket; `restart` ends it and starts another on the port."""

    def __init__(self, store: Store, library: Library) -> None:
        super().__init__(store, library, utc_now, prefix="key-")
        self.library = library
        self.listener = open_listener("127.0.0.1:0")
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        with store.write() as tx:
            for role in ROLES:
                hashed = verbs.check_password(PASSWORD)
                verbs.people.add_user(tx, role, role=role, password_hash=hashed, now=utc_now())
        self.start()
        self.client = httpx.Client(base_url=self.url, timeout=LIMIT_S)  # type: ignore[assignment]

    def start(self) -> None:
        # Another application each time, as another process would be.
        self.app = application(
            self.store, self.policy, self.library, keyring=self.keyring, clock=utc_now
        )
        config = uvicorn.Config(self.app, log_config=None, access_log=False, lifespan="on")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [self.listener.dup()]}, daemon=True
        )
        self.thread.start()
        wait_for(lambda: self.server.started, "the server starts")

    def stop(self) -> None:
        self.app.state.broadcaster.close()
        self.server.should_exit = True
        self.thread.join(LIMIT_S)
        assert not self.thread.is_alive()

    def surveyed(
        self, document: bytes, *, mac: str, uuid: str, outputs: dict[str, bytes] | None = None
    ) -> str:
        """A machine enlists and its survey prints `document`; returns the record's id."""
        welcome = self.enlist(mac=mac, uuid=uuid)
        self.play(welcome, document, outputs=outputs or {})
        return str(welcome["machine"])

    def play(self, welcome: dict[str, Any], document: bytes, *, outputs: dict[str, bytes]) -> None:
        """All scripts of a run pass; the agent asks for what is due and ends."""
        told: list[dict[str, Any]] = []
        for item in welcome["scripts"]:
            known = outputs | {"50-maas-01-commissioning": document}
            body = known.get(item["name"], OUTPUTS.get(item["name"], b"hello\n"))
            told += [
                {"kind": "started", "result": item["result"]},
                {"kind": "output", "result": item["result"],
                 "data": base64.b64encode(body).decode()},
                {"kind": "finished", "result": item["result"], "runtime_s": 0.5},
            ]  # fmt: skip
        told.append({"kind": "end"})
        for seq, event in enumerate(told, start=1):
            event["seq"] = seq
        for start in range(0, len(told), 20):
            answer = self.events(welcome["token"], told[start : start + 20])
            assert answer.status_code == 200, answer.text

    def close(self) -> None:
        self.stop()
        self.client.close()
        self.listener.close()


def house(folder: Path) -> House:
    """Over SQLite in `folder`."""
    store = Store(f"sqlite:///{folder}/muster.db")
    store.migrate()
    return House(store, stocked(folder))


def wait_for(ready: Any, what: str, limit_s: float = LIMIT_S) -> Any:
    """The first true answer of `ready`."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if found := ready():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {limit_s:.0f} s")


def altered(document: bytes, change: Any) -> bytes:
    """The document after `change` worked on it."""
    body = json.loads(document)
    change(body)
    return json.dumps(body).encode()
