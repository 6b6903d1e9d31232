"""Passwords of BMCs go into a server that runs, are used, and are looked for wherever one can look.

A search that finds nothing proves nothing: each place must also hold what was to be there.
"""

import asyncio
import json
import re
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.power.certificates import Authority
from tests.power.ipmi_bmc import IpmiBmc, listen
from tests.power.redfish_bmc import RedfishBmc, serving
from tests.server.process import Served, muster, served
from tests.server.running import wait_for
from tests.server.shelf import stocked

from muster.power import programs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not any(Path(folder, "ipmipower").exists() for folder in programs.PATH.split(":")),
        reason="FreeIPMI is not installed (apt-get install freeipmi-tools)",
    ),
]
GOOD, WRONG, K_G = "tell-NOBODY-5c1e", "nor-THIS-77ab", "nor-the-KEY-9d"
HOST = "127.0.80.1"
# Doors of machines: they need a boot's nonce or session.
OF_MACHINES = ("/agent/", "/boot/", "/grub/", "/metadata/", "/MAAS/")


class Watch:
    """What others see of every process here while the server works: arguments, environments."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        while not self._over.wait(0.005):
            for folder in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    with suppress(OSError):
                        self.seen.add((folder / name).read_bytes().decode(errors="replace"))

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@contextmanager
def bmcs(folder: Path) -> Iterator[str]:
    """A Redfish BMC, whose URL this is, and an IPMI one, in a thread."""
    loop = asyncio.new_event_loop()
    ready: list[str] = []
    over = asyncio.Event()

    async def play() -> None:
        transport = await listen(
            IpmiBmc(user="ops-user", password=GOOD, k_g=K_G.encode()), HOST, 623
        )
        tls, _ = Authority(folder).context(self_signed=True)
        async with serving(RedfishBmc(password=GOOD).handle, tls) as url:
            ready.append(url)
            await over.wait()
        transport.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(play()))
    thread.start()
    wait_for(lambda: ready)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


class Person:
    """Signed in; everything that was ever printed or answered is in `told`, by where it was."""

    def __init__(self, server: Served, folder: Path) -> None:
        self._folder, self._server = folder, server
        self.told: dict[str, str] = {}
        words = ("login", server.url, "--user", "admin", "--password-stdin")
        self.types(*words, stdin=f"{server.password}\n")
        credentials = (folder / ".config/muster/credentials.json").read_text()
        self._key = json.loads(credentials)["key"]

    def types(self, *words: str, stdin: str = "") -> str:
        done = muster(self._folder, *words, stdin=stdin)
        self.told[" ".join(words)] = done.stdout + done.stderr
        assert done.returncode == 0, done.stderr
        return done.stdout

    def opens(self, path: str, *, timeout: float = 30) -> Any:
        headers = {"Authorization": f"Bearer {self._key}"}
        asked = urllib.request.Request(self._server.url + path, headers=headers)
        return urllib.request.urlopen(asked, timeout=timeout)

    def gets(self, path: str) -> Any:
        """The answer as JSON, or None where it is none or a refusal; kept in any case."""
        try:
            with self.opens(path) as answer:
                self.told[path] = answer.read().decode(errors="replace")
        except urllib.error.HTTPError as refusal:
            self.told[path] = refusal.read().decode(errors="replace")
        with suppress(ValueError):
            return json.loads(self.told[path])
        return None

    @contextmanager
    def follows(self) -> Iterator[None]:
        """Keeps the live stream until its connection is closed."""
        stream = self.opens("/api/v1/events/stream")
        pieces: list[bytes] = []

        def read() -> None:
            with suppress(OSError, ValueError, AttributeError):
                while piece := stream.readline():
                    pieces.append(piece)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        yield
        wait_for(lambda: any(b"power.reached" in piece for piece in pieces))
        self.told["stream"] = b"".join(pieces).decode()

    def gets_everything(self) -> None:
        """Every GET of the API document, for every id that is listed anywhere."""
        paths = [
            path
            for path, methods in self.gets("/api/openapi.json")["paths"].items()
            if "get" in methods and not path.startswith(OF_MACHINES)
        ]
        machines = [one["id"] for one in self.gets("/api/v1/machines")["items"]]
        boots = [one["id"] for one in self.gets("/api/v1/boots")]
        runs = [run for one in machines for run in self.gets(f"/api/v1/machines/{one}/runs")]
        words: dict[str, list[Any]] = {
            "reference": machines,
            "boot": boots,
            "run": [run["id"] for run in runs],
            "result": [result["id"] for run in runs for result in run["results"]],
            "operation": [one["id"] for one in self.gets("/api/v1/operations")],
        }
        for path in paths:
            found = re.search(r"\{(\w+)(?::\w+)?\}", path)
            for word in words.get(found[1], ["1"]) if found else [""]:
                self.gets(path.replace(found[0], str(word)) if found else path)


def act(person: Person, url: str, folder: Path) -> None:
    """Two machines are switched on and their logs are read; two have a wrong password."""
    (folder / "good").write_text(GOOD)
    (folder / "wrong").write_text(WRONG)
    (folder / "k_g").write_text(K_G)
    for number, secret in enumerate(("good", "wrong")):
        user = ("power_user=admin", f"power_pass=@{folder}/{secret}")
        mac = f"52:54:00:80:00:0{number}"
        person.types("add", f"red-{secret}", mac, "redfish", f"power_address={url}", *user)
        user = ("power_user=ops-user", user[1], f"k_g=@{folder}/k_g")
        mac = f"52:54:00:80:01:0{number}"
        person.types("add", f"ipmi-{secret}", mac, "ipmi", f"power_address={HOST}", *user)
    for name in ("red-good", "ipmi-good", "red-wrong", "ipmi-wrong"):
        person.types("power", name, "on")
    for name, status in (("good", "reached"), ("wrong", "failed")):
        for kind in ("red", "ipmi"):
            path = f"/api/v1/machines/{kind}-{name}/power"
            wait_for(
                lambda path=path, status=status: person.gets(path)["wanted"]["status"] == status
            )


def export(person: Person, folder: Path) -> None:
    """Whatever the command line can print or write of all this."""
    for form in ("json", "yaml", "csv", "table"):
        person.types("machines", "-o", form)
    for words in (("events",), ("boots",), ("findings", "red-good"), ("show", "red-good"),
                  ("manifest", "export"), ("odd-ones",), ("settings", "--data", str(folder)),
                  ("bmc", "log", "ipmi-good"), ("operation",)):  # fmt: skip
        with suppress(AssertionError):
            person.types(*words)
    capture = folder / "capture.tar.gz"
    person.types("inventory", "capture", "--output", str(capture))
    with tarfile.open(capture) as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)) is not None:
                person.told[f"capture: {member.name}"] = file.read().decode(errors="replace")


def test_no_password_is_in_processes_logs_events_answers_exports_or_the_database(
    tmp_path: Path,
) -> None:
    stocked(tmp_path)
    data = tmp_path / "data"
    words = ("--listen", "127.0.0.1:0", "--images", str(tmp_path / "shelf"))
    with bmcs(tmp_path) as url, Watch() as watch, served(data, *words) as server:
        person = Person(server, tmp_path / "home")
        simulated = muster(tmp_path, "simulate", server.url, "--machines", "1")
        assert simulated.returncode == 0, simulated.stderr
        with person.follows():
            act(person, url, tmp_path)
            person.gets_everything()
            export(person, tmp_path)
        person.told["metrics"] = server.get("/metrics")
    told = person.told | {"server log": server.log()}
    for file in data.rglob("muster.db*"):
        told[file.name] = file.read_bytes().decode(errors="replace")
    told |= {f"process {number}": words for number, words in enumerate(watch.seen)}

    leaks = [
        where for where, text in told.items() for secret in (GOOD, WRONG, K_G) if secret in text
    ]
    assert leaks == []
    # The search is one that can find: it looked at these.
    ipmipower = [
        where for where, text in told.items() if "ipmipower" in text and "process" in where
    ]
    assert ipmipower, "no process of FreeIPMI was seen"
    assert '"secrets":["power_pass"]' in told["/api/v1/machines/red-good/power"]
    for where in ("stream", "machines -o csv", "muster.db", "/api/v1/events", "events"):
        assert "red-good" in told[where], where
    assert "serving" in told["server log"]
    assert sum(where.endswith("/output") for where in told) >= 5
    assert sum(where.startswith("capture: ") for where in told) > 20
