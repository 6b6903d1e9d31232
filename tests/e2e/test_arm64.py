"""Emulated arm64 machines, by UEFI PXE and by UEFI HTTP, to New."""

import os
from pathlib import Path

import pytest
from tests.e2e.served import Served

from muster.images.library import Library
from muster.lab.machines import Arch, Firmware, Order

pytestmark = [pytest.mark.e2e, pytest.mark.matrix]

SLOW = 600.0
"""Seconds: a CPU of another architecture is emulated word by word, its firmware too."""


@pytest.mark.parametrize(
    ("firmware", "start"),
    [
        (Firmware.UEFI, "swift"),
        (Firmware.UEFI_HTTP, "swift"),
        (Firmware.UEFI_HTTP, "cloud-init"),
    ],
)
def test_an_arm64_machine_becomes_new(
    served: Served, images: Path, firmware: Firmware, start: str
) -> None:
    if Library(images).current("arm64") is None:
        if "image" in os.environ.get("MUSTER_TEST_REQUIRE", ""):
            pytest.fail("no arm64 image: run 'make image-arm64'")
        pytest.skip("no arm64 image: run 'make image-arm64'")
    served.kill()
    served.start(start=start)
    served.lab.add(Order(name="m1", arch=Arch.ARM64, firmware=firmware))
    machine = served.lab.machine("m1")
    machine.on()
    served.wait("m1 is surveyed", lambda: served._surveyed("m1"), limit_s=SLOW)
    machine.wait_until("stopped", limit_s=SLOW)
    record = served.record("m1") or {}

    assert (record["state"], record["firmware"]) == ("New", "uefi")
    assert record["architecture"] in ("aarch64", "arm64")
    assert served.last_run(record["id"])["reason"] == "every script passed"
    (boot,) = served.boots(record["id"])
    details = [mark["detail"] for mark in boot["timeline"]]
    assert any("UEFI arm64" in detail for detail in details), served.timelines()
    by_tftp = [detail for detail in details if "by TFTP" in detail]
    assert bool(by_tftp) == (firmware is Firmware.UEFI), served.timelines()
    reached = {mark["phase"] for mark in boot["timeline"] if mark["status"] == "done"}
    assert ("metadata" in reached) == (start == "cloud-init"), served.timelines()
    assert not boot["failure"]
    document = served.api.get(f"/machines/{record['id']}/resources")["resources"]
    (socket,) = document["cpu"]["sockets"]
    assert (document["cpu"]["architecture"], document["cpu"]["total"]) == ("aarch64", 2)
    assert "asimd" in socket["cores"][0]["flags"]
    assert document["system"]["uuid"].lower() == machine.document()["uuid"]
    assert document["system"]["firmware"]["vendor"]
