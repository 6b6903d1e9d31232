"""Every door of a server, without a network: people with keys, machines with hellos."""

import base64
import copy
import json
import re
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from litestar.testing import TestClient

from muster.images.library import Library
from muster.lifecycle import secrets
from muster.lifecycle.keyring import Keyring
from muster.lifecycle.policy import Policy
from muster.server.app import application
from muster.store import people
from muster.store.engine import Store

UUID = "5b7a2f3e-11d4-4c0e-9a77-3f2d8c1b0a01"
MAC = "52:54:00:12:34:01"
BUDGETS = ("audits", "failures")


class Desk:
    """The application over `store`; `keys` by role."""

    def __init__(
        self, store: Store, library: Library, clock: Any, *, prefix: str = "", **policy: Any
    ) -> None:
        self.store = store
        self.library = library
        self._prefix = prefix
        self.policy = Policy(**policy)
        self._clock = clock
        self._folder = tempfile.TemporaryDirectory(prefix="muster-keys-")
        self.keyring = Keyring(Path(self._folder.name) / "secrets.key")
        self.keyring.create()
        self.app = application(
            store, self.policy, library, keyring=self.keyring, clock=lambda: self._clock()
        )
        self._fresh_state = {name: copy.deepcopy(self.app.state[name]) for name in BUDGETS}
        self.client = TestClient(self.app, raise_server_exceptions=False)
        self.keys: dict[str, str] = {}
        self.open(clock)

    def open(self, clock: Any) -> None:
        """As after a start: people who have not signed in yet, nothing spent."""
        self._clock = clock
        self.app.state.update(copy.deepcopy(self._fresh_state))
        self.keys = {role: self._person(role, clock()) for role in ("viewer", "operator", "admin")}

    def _person(self, role: str, now: datetime) -> str:
        """Argon2 takes 50 ms; only what tests signing in needs a real password."""
        key = f"muster_{secrets.new()}"
        with self.store.write() as tx:
            name = self._prefix + role
            people.add_user(tx, name, role=role, password_hash="-", now=now)
            user = people.user_named(tx, name)
            assert user is not None
            people.add_key(tx, user.id, name="test", key_hash=secrets.digest(key), now=now)
        return key

    def ask(self, method: str, path: str, *, role: str = "admin", **more: Any) -> Any:
        """A request with the key of `role` ("" for none); below /api/v1 unless it begins so."""
        headers = {"Authorization": f"Bearer {self.keys[role]}"} if role else {}
        headers |= more.pop("headers", {})
        return self.client.request(method, f"/api/v1{path}", headers=headers, **more)

    def get(self, path: str, **more: Any) -> Any:
        answer = self.ask("GET", path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def boot(self, *, mac: str = MAC, uuid: str = UUID) -> str:
        """A loader asks; returns the nonce that it is given."""
        query = {"mac": mac, "uuid": uuid, "serial": "S1", "arch": "x86_64", "firmware": "efi"}
        script = self.client.get("/boot/ipxe", params=query).text
        found = re.search(r"/boot/report/(\S+)", script)
        assert found, script
        return found[1]

    def hello(
        self, nonce: str, *, key: str = "boot-key", mac: str = MAC, uuid: str = UUID, **more: Any
    ) -> Any:
        evidence = {"uuid": uuid, "serial": "S1", "nics": [{"mac": mac, "name": "eth0"}]}
        message = {"evidence": evidence, "nonce": nonce, "key": key, "firmware": "uefi", **more}
        return self.client.post("/agent/hello", json=message)

    def events(self, token: str, events: list[dict[str, Any]], **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        return self.client.post("/agent/events", json={"events": events}, headers=headers, **more)

    def enlist(self, **machine: str) -> dict[str, Any]:
        """A machine boots and says hello; returns its Welcome."""
        welcome: dict[str, Any] = self.hello(self.boot(**machine), **machine).json()
        assert welcome["decision"] == "run", welcome
        return welcome

    def audits(self) -> list[str]:
        found = self.get("/events", params={"kind": "audit.refused", "limit": 1000})
        return [event["message"] for event in found]


def resources() -> bytes:
    """The smallest document that the server reads, and keys that it does not know."""
    known = {"api_version": "1.0", "resources": {"npu": [1]}, "extra": {}}
    return json.dumps(known | {"machine-extra": {"platform": "x"}}).encode()


OUTPUTS = {
    "30-maas-01-bmc-config": b'{"kind": "none"}',
    "00-maas-01-lshw": b'<list><node id="host" class="system"/></list>',
    "00-maas-02-virtuality": b"none\n",
    "00-maas-05-dhcp-unconfigured-ifaces": b"{}",
    "00-maas-06-get-fruid-api-data": b"not a Wedge: nothing to ask\n",
    "00-maas-08-serial-ports": b"",
    "40-maas-01-network-interfaces": b"[]",
    "99-maas-01-capture-lldp": b"<lldp/>",
}
"""What the server reads of the built-in scripts, at its shortest; it takes any bytes of others."""


def story(welcome: dict[str, Any], *, document: bytes) -> list[dict[str, Any]]:
    """The events of a run in which every script passes and the survey prints `document`."""
    told: list[dict[str, Any]] = []
    for item in welcome["scripts"]:
        other = OUTPUTS.get(item["name"], b"\x00\xffhello\n")
        body = document if "commissioning" in item["name"] else other
        told += [
            {"kind": "started", "result": item["result"]},
            {"kind": "output", "result": item["result"], "data": base64.b64encode(body).decode()},
            {"kind": "finished", "result": item["result"], "runtime_s": 0.5},
        ]
    told.append({"kind": "end"})
    return [{"seq": seq, **event} for seq, event in enumerate(told, start=1)]
