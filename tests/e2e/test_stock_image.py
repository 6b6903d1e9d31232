"""An image that is not ours boots end to end under its own cloud-init, with each datasource."""

import os
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.served import SLOW, Served
from tests.e2e.stock.build import build

from muster.cli.client import machine_path
from muster.images import importing
from muster.images.library import Library
from muster.images.manifest import Manifest
from muster.lab.machines import Firmware, Order

pytestmark = pytest.mark.e2e

LOADED = "no_timer_check"
"""On a loaded host Linux's test of the timer may find none and panic; under KVM it is left out."""
FROM_THE_ARCHIVE = {"00-maas-03-install-lldpd", "99-maas-01-capture-lldp"}
"""As in Ubuntu's images lldpd is not there, and the lab has no archive to install it from."""
PRODUCT = "local:stock:amd64"


@pytest.fixture(scope="session")
def stock() -> dict[str, Path]:
    """Built once a machine; see stock/build.py for what differs from Ubuntu's."""
    folder = Path(os.environ.get("MUSTER_STOCK", "build/stock")).absolute()
    return build(folder)


@pytest.fixture
def shelf(images: Path, stock: dict[str, Path], tmp_path: Path) -> Library:
    """A library of the test's own: ours and the stock image, ours in use."""
    library, own = Library(tmp_path / "images"), Library(images).in_use()
    library.add(own, {name: Library(images).blob(file.sha256) for name, file in own.files.items()})
    library.use(own.id)
    importing.import_files(library, stock, release="stock", arch="amd64", kernel="6.12")
    return library


def imported(shelf: Library) -> Manifest:
    return shelf.newest(PRODUCT)


@pytest.mark.parametrize(
    ("datasource", "firmware"),
    [
        ("nocloud", Firmware.BIOS),
        ("maas", Firmware.BIOS),
        pytest.param("nocloud", Firmware.SECURE_BOOT_HTTP, marks=pytest.mark.matrix),
        pytest.param("maas", Firmware.SECURE_BOOT_HTTP, marks=pytest.mark.matrix),
    ],
)
def test_a_stock_image_enlists_a_machine_under_cloud_init(
    served: Served, shelf: Library, datasource: str, firmware: Firmware
) -> None:
    served.kill()
    shelf.use(imported(shelf).id)
    served.images = shelf.root
    served.start(datasource=datasource, kernel_options=LOADED)
    served.lab.add(Order(name="m1", firmware=firmware, memory_mib=3072))
    served.lab.machine("m1").on()
    record = served.wait("m1 is known", lambda: served.record("m1"))
    served.wait("its run ends", lambda: served.last_run(record["id"])["ended_at"])
    served.lab.machine("m1").wait_until("stopped", limit_s=SLOW)
    record = served.record("m1") or {}

    assert (record["state"], record["firmware"]) == ("New", firmware.kind)
    run = served.last_run(record["id"])
    failed = {r["name"] for r in run["results"] if r["state"] not in ("passed", "skipped")}
    assert failed <= FROM_THE_ARCHIVE
    cmdline = output(served, run, "99-maas-05-kernel-cmdline")
    assert "overlayroot=tmpfs" in cmdline
    assert ("cloud-config-url=" in cmdline) == (datasource == "maas")
    assert "root file system" not in served.timelines(), "our initrd was not there to say so"


def output(served: Served, run: dict[str, Any], name: str) -> str:
    (result,) = (r for r in run["results"] if r["name"] == name)
    body, _ = served.api.raw("GET", f"/results/{result['id']}/output", stream="stdout")
    return str(body.decode())


def test_one_machine_is_started_with_another_image_than_the_rest(
    served: Served, shelf: Library
) -> None:
    served.kill()
    served.images = shelf.root
    served.start(kernel_options=LOADED)
    served.lab.add(Order(name="m1", memory_mib=3072))
    served.enlist("m1")
    machine = served.wire_power("m1")
    assert "muster.start=swift" in output(
        served, served.last_run(machine), "99-maas-05-kernel-cmdline"
    )

    served.api.send("POST", "/tags/odd/machines", {"add": [machine]})
    body = {"image": PRODUCT, "kernel_options": "muster_odd=1", "datasource": "maas"}
    served.api.send("PUT", "/tags/odd/image", body)
    served.api.send("POST", machine_path(machine, "/commission"), {"tests": ["none"]})
    served.wait("m1 ends", lambda: served.last_run(machine)["ended_at"])

    cmdline = output(served, served.last_run(machine), "99-maas-05-kernel-cmdline")
    assert "overlayroot=tmpfs" in cmdline
    assert cmdline.rstrip().endswith("muster_odd=1")
    told = f"image {imported(shelf).id[:12]} ({imported(shelf).origin}), chosen for tag odd"
    assert told in served.timelines()
