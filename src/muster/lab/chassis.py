# SPDX-License-Identifier: Apache-2.0
"""One machine with its power button: QEMU on, off, cycle, reset, its NIC cables, its BMC."""

import asyncio
import contextlib
import socket
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from muster.lab import board, qemu
from muster.lab.bmc import Bmc
from muster.lab.children import Child
from muster.lab.errors import Conflict, NoSuchMachine, PowerFailed, TimedOut
from muster.lab.machines import Boot, Machine
from muster.lab.qmp import Qmp

GREETING_LIMIT_S = 30.0
QUIT_GRACE_S = 5.0


class Chassis:
    """`status` is running or stopped. Every power verb is idempotent and answers when done."""

    def __init__(
        self,
        machine: Machine,
        *,
        lab: str,
        folder: Path,
        taps: list[str],
        accel: qemu.Accel,
        bmc: Bmc | None = None,
    ) -> None:
        self.machine, self.folder, self.taps, self.bmc = machine, folder, taps, bmc
        self._lab, self._accel = lab, accel
        self._links = [True] * len(taps)
        self._child: Child | None = None
        self._tpm: Child | None = None
        self._qmp: Qmp | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._power_ons = 0
        self._reason = "never switched on"
        self._since = _now()
        self._next_boot: Boot | None = None
        self._inserted = ""
        self._overridden = False
        self._pressed: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._is = {"running": asyncio.Event(), "stopped": asyncio.Event()}
        self._is["stopped"].set()
        qemu.prepare_folder(machine, folder)
        (folder / qemu.SERIAL_LOG).touch()

    @property
    def status(self) -> str:
        return "running" if self._is["running"].is_set() else "stopped"

    def document(self) -> dict[str, Any]:
        """For people and for the webhook power driver.

        That driver searches the text for `status.*:.*running` or `status.*:.*stopped`, so
        `status` comes last and neither word may follow it.
        """
        return {
            "name": self.machine.name,
            "firmware": self.machine.firmware,
            "uuid": self.machine.uuid,
            "serial": self.machine.serial,
            "macs": [nic.mac for nic in self.machine.nics],
            "links": ["up" if up else "down" for up in self._links],
            "cpus": self.machine.cpus,
            "memory_mib": self.machine.memory_mib,
            "power_ons": self._power_ons,
            "folder": str(self.folder),
            "bmc": self.bmc.document() if self.bmc else None,
            "next_boot": self._next_boot,
            "inserted": self._inserted,
            "since": self._since,
            "reason": self._reason,
            "status": self.status,
        }

    async def on(self) -> None:
        async with self._turn:
            await self._switch_on()

    async def off(self) -> None:
        async with self._turn:
            await self._switch_off()

    async def cycle(self) -> None:
        async with self._turn:
            await self._switch_off()
            await self._switch_on()

    async def reset(self) -> None:
        async with self._turn:
            if self._qmp is None:
                raise Conflict(f"{self.machine.name} is off, so it cannot be reset: use on")
            if self._next_boot is Boot.CD:
                await self._switch_off()
                await self._switch_on()
                return
            if (first := self._take_next_boot()) is not None:
                await self._boot_from(first)
                self._overridden = True
            await self._qmp.command("system_reset")

    async def soft(self) -> None:
        """Tell the guest to switch itself off (ACPI); nothing happens when it is off."""
        async with self._turn:
            if self._qmp is not None:
                await self._qmp.command("system_powerdown")

    def press(self, verb: Coroutine[None, None, None]) -> None:
        """Begin a power verb and do not wait for it, as a BMC does."""
        task = asyncio.create_task(verb)
        self._pressed.add(task)
        task.add_done_callback(self._released)

    def _released(self, task: asyncio.Task[None]) -> None:
        self._pressed.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._reason = str(error)

    def set_boot(self, device: Boot | None) -> None:
        """What the next start boots from, that one only."""
        self._next_boot = device

    def insert(self, medium: str) -> None:
        """What is in the BMC's virtual drive: an image's path, or "".

        Plugged in for a start from `cd` alone, so that no other start and no inventory sees it.
        """
        self._inserted = medium

    async def set_link(self, index: int, *, up: bool) -> None:
        """Plug or pull the cable of one NIC; it stays so over power cycles."""
        async with self._turn:
            if not 0 <= index < len(self._links):
                raise NoSuchMachine(
                    f"{self.machine.name} has no NIC {index}: say 0 to {len(self._links) - 1}"
                )
            self._links[index] = up
            await self._apply_link(index)

    async def until(self, status: str, *, within_s: float) -> None:
        if status not in self._is:
            raise Conflict(f"no status {status!r}: wait for running or stopped")
        try:
            async with asyncio.timeout(within_s):
                await self._is[status].wait()
        except TimeoutError:
            raise TimedOut(
                f"{self.machine.name} was not {status} within {within_s:.0f} s: {self._reason}"
            ) from None

    async def _switch_on(self) -> None:
        if self._child is not None:
            return
        self._power_ons += 1
        first, machine = self._take_next_boot(), self.machine
        if first is Boot.CD:
            first = None
            if self._inserted:
                machine = msgspec.structs.replace(machine, medium=self._inserted)
        self._head_line()
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as handed:
            handed.enter_context(theirs)
            tpm_fd = self._start_tpm(handed) if self.machine.tpm else None
            child = Child(
                qemu.argv(
                    machine,
                    lab=self._lab,
                    taps=self.taps,
                    accel=self._accel,
                    qmp_fd=theirs.fileno(),
                    tpm_fd=tpm_fd,
                    kcs_port=self.bmc.kcs_port if self.bmc else None,
                    first=first,
                ),
                cwd=self.folder,
                log=self.folder / qemu.QEMU_LOG,
                pass_fds=[theirs.fileno()] if tpm_fd is None else [theirs.fileno(), tpm_fd],
            )
        try:
            self._qmp = await Qmp.connect(ours, self._heard, limit_s=GREETING_LIMIT_S)
        except PowerFailed as error:
            code = await child.stop(grace_s=QUIT_GRACE_S)
            await self._stop_tpm()
            words = (self.folder / qemu.QEMU_LOG).read_text(errors="replace").strip()
            raise PowerFailed(
                f"{self.machine.name}: {error}; exit status {code}, it said: {words[-500:]!r}"
            ) from error
        self._child = child
        self._changed("running", "switched on")
        self._watcher = asyncio.create_task(self._watch(child))
        if first is not None:
            # Not waited for: on a loaded host QEMU takes 10 s and more to answer while it starts.
            self.press(self._boot_from(None))
        if machine is not self.machine:
            self.press(self._place("medium0", -1))
        for index, up in enumerate(self._links):
            if not up:
                await self._apply_link(index)

    def _start_tpm(self, handed: contextlib.ExitStack) -> int:
        """Start the TPM's process; returns QEMU's end of its control socket."""
        ours, theirs = socket.socketpair()
        handed.enter_context(ours)
        with theirs:
            command = board.swtpm(self.folder, theirs.fileno())
            try:
                self._tpm = Child(
                    command, log=self.folder / qemu.QEMU_LOG, pass_fds=[theirs.fileno()]
                )
            except FileNotFoundError as error:
                raise PowerFailed(
                    f"{self.machine.name} has a TPM and swtpm is not installed: "
                    "install the package swtpm"
                ) from error
        return ours.fileno()

    async def _stop_tpm(self) -> None:
        """It ends when QEMU does; the next one must not find its state still locked."""
        if self._tpm is not None:
            await self._tpm.stop(grace_s=QUIT_GRACE_S)
            self._tpm = None

    async def _switch_off(self) -> None:
        if self._child is None:
            return
        self._reason = "switched off"
        await self._child.stop(grace_s=QUIT_GRACE_S)
        await self._is["stopped"].wait()

    async def _watch(self, child: Child) -> None:
        code = await child.wait()
        await self._stop_tpm()
        self._child = self._qmp = None
        reason = self._reason
        if reason == "switched on":
            reason = f"QEMU ended by itself with exit status {code}: see {qemu.QEMU_LOG}"
        self._changed("stopped", reason)

    def _heard(self, event: str, data: dict[str, Any]) -> None:
        if event == "SHUTDOWN" and data.get("guest"):
            self._reason = "the guest switched itself off"
        if event == "RESET" and self._overridden:
            self._overridden = False
            self.press(self._boot_from(None))

    def _take_next_boot(self) -> Boot | None:
        first, self._next_boot = self._next_boot, None
        return first

    async def _boot_from(self, first: Boot | None) -> None:
        """QEMU hands the order to the firmware at power on and at a reset, not in between."""
        for device, place in board.boot_order(self.machine, first).items():
            await self._place(device, place)

    async def _place(self, device: str, place: int) -> None:
        """-1: the firmware does not try it."""
        if self._qmp is not None:
            path = f"/machine/peripheral/{device}"
            await self._qmp.command("qom-set", path=path, property="bootindex", value=place)

    async def _apply_link(self, index: int) -> None:
        if self._qmp is not None:
            await self._qmp.command("set_link", name=f"net{index}", up=self._links[index])

    def _head_line(self) -> None:
        facts = f"power on {self._power_ons}, {_now()}, {self.machine.firmware}, {self._accel.name}"
        with (self.folder / qemu.SERIAL_LOG).open("a") as log:
            log.write(f"\n=== {self.machine.name}: {facts} ===\n")

    def _changed(self, status: str, reason: str) -> None:
        self._since, self._reason = _now(), reason
        for name, event in self._is.items():
            event.set() if name == status else event.clear()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
