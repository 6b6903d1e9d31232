"""A machine's side of the journey in few words: boot, hello, events."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from muster.images.library import Library
from muster.lifecycle import enlist, results, survey
from muster.lifecycle.enlist import BootPlan, Caller
from muster.lifecycle.keyring import Keyring
from muster.lifecycle.policy import Policy
from muster.store import boots, events, machines, runs
from muster.store.boots import Boot
from muster.store.engine import Store
from muster.store.machines import Machine
from muster.wire.events import Ack, Batch, Event
from muster.wire.hello import Hello, Welcome

UUID = "0d1f9d4e-5d0a-4f43-9a1e-5a4f9d1e0001"
MAC = "52:54:00:12:34:01"
MAC2 = "52:54:00:12:34:02"


def event(seq: int, kind: str, result: int = 0, *, data: bytes = b"", **words) -> Event:
    return Event(seq, kind, result=result, data=base64.b64encode(data).decode(), **words)


@dataclass
class Rack:
    """What a machine and its server do to each other, with one store, policy and time."""

    store: Store
    policy: Policy
    now: Callable[[], datetime]
    hello: Callable[..., Hello]
    document: bytes
    keyring: Keyring
    library: Library

    def boot(
        self, *, uuid: str = UUID, mac: str = MAC, serial: str = "", library: Library | None = None
    ) -> BootPlan:
        seen = {"client_ip": "10.0.0.9", "architecture": "amd64"}
        caller = Caller(mac=mac, uuid=uuid, serial=serial, **seen)
        return enlist.plan_boot(
            self.store, self.policy, library or self.library, caller, self.now()
        )

    def say_hello(self, nonce: str, **words) -> Welcome:
        words = {"uuid": UUID, "serial": "SN1", "board_serial": "", "macs": [MAC]} | words
        return enlist.hello(self.store, self.policy, self.hello(nonce, **words), self.now())

    def arrive(self, **words) -> tuple[BootPlan, Welcome]:
        """Boot and say hello with the same evidence."""
        mac = words.pop("mac_seen", (words.get("macs") or [MAC])[0])
        seen = {"uuid": words.get("uuid", UUID), "serial": words.get("serial", "SN1")}
        plan = self.boot(mac=mac, **seen)
        return plan, self.say_hello(plan.nonce, **words)

    def send(self, token: str, *events: Event) -> Ack:
        return results.ingest(self.store, self.policy, token, Batch(list(events)), self.now())

    def finish(self, welcome: Welcome, *, exit_status: int = 0, first: int = 1) -> Ack:
        """Every script of the run ends so, then the run."""
        happened: list[tuple[str, int, dict]] = []
        for item in welcome.scripts:
            happened.append(("started", item.result, {}))
            if item.name == survey.RESOURCES:
                happened.append(("output", item.result, {"data": self.document}))
            ended = {"exit_status": exit_status, "runtime_s": 1.5}
            happened.append(("finished", item.result, ended))
        happened.append(("end", 0, {}))
        numbered = enumerate(happened, start=first)
        return self.send(
            welcome.token, *(event(seq, kind, on, **words) for seq, (kind, on, words) in numbered)
        )

    def machine(self, name: str) -> Machine:
        with self.store.read() as tx:
            return machines.find(tx, name)

    def machines(self) -> list[Machine]:
        with self.store.read() as tx:
            return machines.some(tx)

    def macs(self, name: str) -> list[str]:
        with self.store.read() as tx:
            machine = machines.find(tx, name)
            return machines.macs_of(tx, [machine.id])[machine.id]

    def find_boot(self, boot: str) -> Boot:
        with self.store.read() as tx:
            return boots.find(tx, boot)

    def find_boot_of(self, welcome: Welcome) -> Boot:
        """The newest boot that worked on this run."""
        with self.store.read() as tx:
            run = runs.find_result(tx, welcome.scripts[0].result).run_id
            return boots.of_run(tx, run)[0]

    def open_boot(self) -> str | None:
        """The boot that MAC is at."""
        with self.store.read() as tx:
            found = boots.open_for_mac(tx, MAC, since=self.now() - timedelta(days=1))
            return found.id if found else None

    def marks(self, boot: str) -> list[tuple[str, str, str]]:
        with self.store.read() as tx:
            return [(m.phase, m.status, m.detail) for m in boots.timeline(tx, [boot])[boot]]

    def runs(self, name: str) -> list[runs.Run]:
        with self.store.read() as tx:
            return runs.some(tx, machines.find(tx, name).id)

    def results(self, welcome: Welcome) -> list[tuple[str, str]]:
        """State and reason of each script of this run."""
        with self.store.read() as tx:
            found = [runs.find_result(tx, item.result) for item in welcome.scripts]
            return [(result.state, result.reason) for result in found]

    def set(self, name: str, **values) -> None:
        """Change a record behind the verbs' back."""
        with self.store.write() as tx:
            machines.update(tx, machines.find(tx, name).id, **values)

    def told(self, kind: str) -> list[str]:
        """The messages of the events whose kind begins so."""
        with self.store.read() as tx:
            return [e.message for e in events.some(tx, kind=kind, limit=10_000)]
