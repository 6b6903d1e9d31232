"""Judges that are not ours: sushy-emulator switches, sushy and recorded BMCs agree with us."""

import asyncio
import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sushy
import sushy.auth

from muster.power import https, redfish, redfishsession, redfishtree
from muster.power.drivers import Known, LogLine, PowerError, check
from muster.wire.resources import read_document, summary

UUID = "c7a5fdbd-cdaf-9455-926a-d65c16db1809"
TREES = os.environ.get("MUSTER_REDFISH_TREES", "")


def parameters(url: str, **changes: str) -> dict[str, str]:
    given = {"power_address": url, "power_user": "admin", "power_pass": "p", "tls": "insecure"}
    return check("redfish", given | changes)


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[str]:
    """sushy-emulator with its fake driver: the URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    system = {"uuid": UUID, "name": "m1", "power_state": "Off", "nics": []}
    settings = {
        "SUSHY_EMULATOR_FAKE_DRIVER": True,
        "SUSHY_EMULATOR_LISTEN_IP": "127.0.0.1",
        "SUSHY_EMULATOR_LISTEN_PORT": port,
        "SUSHY_EMULATOR_STATE_DIR": str(tmp_path),
        "SUSHY_EMULATOR_FAKE_SYSTEMS": [system],
    }
    file = tmp_path / "emulator.conf"
    file.write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
    program = Path(sys.executable).parent / "sushy-emulator"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([program, "--config", file], stdout=log, stderr=log)
    try:
        end = time.monotonic() + 60
        while True:
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < end
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


async def until(state: str, given: dict[str, str]) -> str:
    """The emulator takes some seconds to follow, as BMCs do."""
    async with asyncio.timeout(60):
        while await redfish.state(given) != state:
            await asyncio.sleep(0.2)
    return state


@pytest.mark.slow
def test_sushy_s_emulator_is_learned_switched_and_told_its_boot_device(emulator: str) -> None:
    async def use() -> list[Any]:
        given = parameters(emulator)
        learned = await redfish.learn(given, Known(uuid=UUID))
        given |= learned
        seen: list[Any] = [learned, await redfish.state(given)]
        await redfish.set_boot(given, "pxe")
        await redfish.on(given)
        seen.append(await until("on", given))
        await redfish.off(given)
        return [*seen, await until("off", given)]

    assert asyncio.run(use()) == [{"node_id": UUID}, "off", "on", "off"]
    theirs = sushy.Sushy(emulator, auth=sushy.auth.BasicAuth("admin", "p")).get_system()
    assert theirs.boot.target.value == "Pxe"


class Tree(http.server.ThreadingHTTPServer):
    """A recorded tree of a real BMC, whose resets and patches are only written down."""

    def __init__(self, root: Path) -> None:
        heard = self.heard = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                file = root / self.path.strip("/") / "index.json"
                body = file.read_bytes() if file.is_file() else b"{}"
                self.send_response(200 if file.is_file() else 404)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def write_down(self) -> None:
                length = int(self.headers["Content-Length"])
                heard.append((self.command, self.path, json.loads(self.rfile.read(length))))
                self.send_response(204)
                self.end_headers()

            do_POST = do_PATCH = write_down

            def log_message(self, *_: object) -> None:
                """Silence."""

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def tree(request: pytest.FixtureRequest) -> Iterator[tuple[str, Tree]]:
    server = Tree(request.param)
    yield f"http://127.0.0.1:{server.server_address[1]}", server
    server.shutdown()
    server.server_close()


ROOTS = sorted(found.parent for found in Path(TREES).glob("*/redfish")) if TREES else []


@pytest.mark.slow
@pytest.mark.skipif(not ROOTS, reason="MUSTER_REDFISH_TREES names no folder of recorded trees")
@pytest.mark.parametrize("tree", ROOTS, indirect=True, ids=lambda root: root.name)
def test_every_recorded_bmc_is_read_and_switched_as_sushy_does(tree: tuple[str, Tree]) -> None:
    url, server = tree

    async def use() -> tuple[dict[str, str], str]:
        given = parameters(url)
        learned = await redfish.learn(given, Known())
        given |= learned
        seen = await redfish.look(given)
        await redfish.set_boot(given, "pxe")
        await redfish.on(given)
        await redfish.off(given)
        return learned, seen.state

    learned, state = asyncio.run(use())
    ours = list(server.heard)
    server.heard.clear()
    theirs = sushy.Sushy(url, auth=sushy.auth.BasicAuth("admin", "p")).get_system(
        f"/redfish/v1/Systems/{learned['node_id']}"
    )
    assert state == theirs.power_state.value.lower()
    theirs.set_system_boot_options(
        sushy.BootSource.PXE, enabled=sushy.BootSourceOverrideEnabled.ONCE
    )
    theirs.reset_system(sushy.ResetType.ON)
    theirs.reset_system(sushy.ResetType.FORCE_OFF)
    assert [(m, p.rstrip("/")) for m, p, _ in ours] == [
        (m, p.rstrip("/")) for m, p, _ in server.heard
    ]
    assert [body for _, _, body in ours[1:]] == [body for _, _, body in server.heard[1:]]
    wanted = server.heard[0][2]["Boot"]
    assert ours[0][2]["Boot"].items() <= wanted.items()


@pytest.mark.slow
@pytest.mark.skipif(not ROOTS, reason="MUSTER_REDFISH_TREES names no folder of recorded trees")
@pytest.mark.parametrize("tree", ROOTS, indirect=True, ids=lambda root: root.name)
def test_every_recorded_bmc_s_inventory_is_a_resources_document(tree: tuple[str, Tree]) -> None:
    url, _ = tree

    async def use() -> list[tuple[dict[str, Any], dict[str, Any]]]:
        peer = https.peer_of(parameters(url))
        async with https.connect(peer, seconds=120) as link:
            found = await redfish.systems_of(link)
            return [(system, await redfishtree.document(link, system)) for _, system in found]

    read = asyncio.run(use())
    assert read
    for system, document in read:
        told = summary(read_document(json.dumps(document).encode()))
        memory = (system.get("MemorySummary") or {}).get("TotalSystemMemoryGiB") or 0
        assert told.memory_bytes == memory * (1 << 30)
        sockets = (system.get("ProcessorSummary") or {}).get("Count") or 0
        assert told.sockets == sockets
        logical = (system.get("ProcessorSummary") or {}).get("LogicalProcessorCount")
        assert told.cpu_count == (logical or told.cpu_count)
        assert "" not in (told.vendor, told.product, told.serial)


@pytest.mark.slow
@pytest.mark.skipif(not ROOTS, reason="MUSTER_REDFISH_TREES names no folder of recorded trees")
@pytest.mark.parametrize("tree", ROOTS, indirect=True, ids=lambda root: root.name)
def test_every_recorded_bmc_s_log_and_virtual_drive_are_found(tree: tuple[str, Tree]) -> None:
    url, server = tree

    async def use() -> tuple[list[LogLine], str]:
        given = parameters(url)
        given |= await redfish.learn(given, Known())
        lines = await redfish.log(given)
        summary = await redfish.sum_log(given)
        assert summary.entries >= min(len(lines), 1)
        assert summary.newest_critical in (None, *lines)
        try:
            await redfish.insert(given, "http://10.0.0.1/a.iso")
        except PowerError as error:
            return lines, str(error)
        await redfish.eject(given)
        return lines, ""

    lines, refused = asyncio.run(use())
    assert all(isinstance(line.message, str) for line in lines)
    if refused:
        assert refused.endswith("has no virtual drive for CDs; it may need a licence")
        assert {path for _, path, _ in server.heard} == {redfishsession.PATH}
    else:
        sent = [(path, body) for method, path, body in server.heard if "InsertMedia" in path]
        assert [body["Image"] for _, body in sent] == ["http://10.0.0.1/a.iso"]
