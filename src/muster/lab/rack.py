# SPDX-License-Identifier: Apache-2.0
"""Everything that stands in the lab: machines, the bridge and the product's server."""

import asyncio
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from muster.lab import network
from muster.lab.bmc import Bmc, new_password
from muster.lab.chassis import Chassis
from muster.lab.errors import Conflict, LabError, NoSuchMachine
from muster.lab.folder import PASSWORD
from muster.lab.keeper import Keeper
from muster.lab.machines import Bmc as BmcKind
from muster.lab.machines import Machine, refuse_clashing_macs
from muster.lab.qemu import Accel


class Rack:
    """`facts` are the parts of lab.json that never change while the lab lives."""

    def __init__(self, *, folder: Path, accel: Accel, facts: dict[str, Any]) -> None:
        self._folder, self._accel, self._facts = folder, accel, facts
        self._chassis: dict[str, Chassis] = {}
        self._taps = self._bmcs = 0
        self.network = "up"
        self._keeper: Keeper | None = None

    @property
    def server(self) -> Keeper:
        if self._keeper is None:
            raise Conflict("this lab has no server of its own: it was brought up with --no-server")
        return self._keeper

    async def start_server(
        self, argv: list[str], env: dict[str, str], *, listen_fd: int | None
    ) -> None:
        self._keeper = Keeper(argv, env=env, log=self._folder / "server.log", listen_fd=listen_fd)
        await self._keeper.start()

    def chassis(self, name: str) -> Chassis:
        if name not in self._chassis:
            there = ", ".join(self._chassis) or "none"
            raise NoSuchMachine(f"no machine {name!r} in this lab; there are: {there}")
        return self._chassis[name]

    def documents(self) -> list[dict[str, Any]]:
        return [chassis.document() for chassis in self._chassis.values()]

    def document(self) -> dict[str, Any]:
        return {
            **self._facts,
            "accel": asdict(self._accel),
            "network": self.network,
            "server": self._keeper.document() if self._keeper else None,
            "machines": self.documents(),
        }

    async def add(self, machine: Machine) -> Chassis:
        if machine.name in self._chassis:
            raise Conflict(f"name: there is a machine {machine.name!r} already: choose another")
        refuse_clashing_macs([*(one.machine for one in self._chassis.values()), machine])
        taps = [f"tap{self._taps + index}" for index in range(len(machine.nics))]
        self._taps += len(taps)
        network.add_taps(taps)
        folder = self._folder / "machines" / machine.name
        chassis = Chassis(
            machine,
            lab=self._facts["name"],
            folder=folder,
            taps=taps,
            accel=self._accel,
            bmc=await self._start_bmc(machine, folder / "bmc"),
        )
        self._chassis[machine.name] = chassis
        self.write()
        if chassis.bmc:
            await self._await_bmc(chassis.bmc)
        return chassis

    async def _await_bmc(self, bmc: Bmc) -> None:
        """The machine has its name by now, so that nobody takes it meanwhile."""
        try:
            await bmc.ready()
        except LabError:
            await self.remove(bmc.machine.name)
            raise

    async def _start_bmc(self, machine: Machine, folder: Path) -> Bmc | None:
        if machine.bmc not in (BmcKind.IPMI, BmcKind.REDFISH):
            return None
        self._bmcs += 1
        address = network.add_bmc_address(self._bmcs)
        bmc = Bmc(
            machine,
            address=address,
            number=self._bmcs,
            password_file=new_password(self._folder / PASSWORD),
            folder=folder,
        )
        await bmc.start()
        return bmc

    async def remove(self, name: str) -> None:
        chassis = self.chassis(name)
        await chassis.off()
        if chassis.bmc:
            await chassis.bmc.stop()
        del self._chassis[name]
        network.delete_taps(chassis.taps)
        shutil.rmtree(chassis.folder)
        self.write()

    def set_network(self, state: str) -> None:
        network.set_bridge(state)
        self.network = state

    def write(self) -> None:
        """lab.json: what stands in the lab; how it is at this moment, only GET /lab knows.

        Written whole or not at all, for readers that look while it changes.
        """
        draft = self._folder / "lab.json.new"
        lasting = {**self._facts, "accel": asdict(self._accel), "machines": self._specs()}
        draft.write_text(json.dumps(lasting, indent=1) + "\n")
        os.replace(draft, self._folder / "lab.json")

    def _specs(self) -> list[Any]:
        machines = [chassis.machine for chassis in self._chassis.values()]
        return [msgspec.to_builtins(machine) for machine in machines]

    async def close(self) -> None:
        stops = [chassis.off() for chassis in self._chassis.values()]
        stops += [chassis.bmc.stop() for chassis in self._chassis.values() if chassis.bmc]
        if self._keeper is not None:
            stops.append(self._keeper.stop())
        for outcome in await asyncio.gather(*stops, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, LabError):
                raise outcome
