# SPDX-License-Identifier: Apache-2.0
"""A lab machine's BMC: another hand's simulator, a process that lives as long as the machine.

IPMI is OpenIPMI's ipmi_sim: LAN (cipher suite 3) and, through QEMU's KCS, /dev/ipmi0 of the guest
are one BMC. Redfish is sushy-emulator over HTTPS with Basic authentication. Both switch the
machine through the supervisor's HTTP door.
"""

import asyncio
import importlib.util
import json
import os
import secrets
import shlex
import shutil
import string
import sys
from pathlib import Path
from typing import Any

from muster.lab import hands
from muster.lab.errors import CannotStart
from muster.lab.folder import last_words
from muster.lab.keeper import Keeper
from muster.lab.machines import Bmc as Kind
from muster.lab.machines import Machine, derived_uuid

USER = "admin"
READY_S = 30.0
HTTPS = 443
_FIRST_KCS_PORT = 9100
# ipmi_sim's own programs run with this: no site, no environment of the caller's.
_PYTHON = [sys.executable, "-I", "-S"]


def missing(kinds: set[Kind | None]) -> list[str]:
    """What must be installed for these BMCs, with how."""
    found = []
    if Kind.IPMI in kinds and shutil.which("ipmi_sim") is None:
        found.append("ipmi_sim (apt install openipmi)")
    if Kind.REDFISH in kinds and importlib.util.find_spec("sushy_tools") is None:
        found.append("sushy-tools (pip install 'muster-metal[lab]')")
    return found


def new_password(file: Path) -> Path:
    """One password for all BMCs of a lab, in a file that only its owner reads."""
    if not file.exists():
        alphabet = string.ascii_letters + string.digits
        # IPMI 1.5 has room for 16 bytes.
        text = "".join(secrets.choice(alphabet) for _ in range(16))
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(text + "\n")
    return file


class Bmc:
    """`kcs_port`: where QEMU reaches it, None without an in-band side."""

    def __init__(
        self, machine: Machine, *, address: str, number: int, password_file: Path, folder: Path
    ) -> None:
        self.machine, self.address, self.folder = machine, address, folder
        self._password_file = password_file
        self.kcs_port = _FIRST_KCS_PORT + number if machine.bmc is Kind.IPMI else None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        argv = self._ipmi_sim() if machine.bmc is Kind.IPMI else self._sushy_emulator()
        self._keeper = Keeper(argv, env={}, log=folder / "bmc.log", listen_fd=None)

    def document(self) -> dict[str, Any]:
        """What a power driver needs; the password is in a file."""
        return {
            "kind": str(self.machine.bmc),
            "address": self.address,
            "user": USER,
            "password_file": str(self._password_file),
        }

    async def start(self) -> None:
        """Raises CannotStart with what to install."""
        if lacking := missing({self.machine.bmc}):
            raise CannotStart(f"the BMC of {self.machine.name} needs: {', '.join(lacking)}")
        await self._keeper.start()

    async def ready(self) -> None:
        """Return once it takes connections: sushy-emulator needs a second for that.

        IPMI's clients ask again by themselves. Raises CannotStart with its log's end.
        """
        if self.machine.bmc is not Kind.REDFISH:
            return
        try:
            async with asyncio.timeout(READY_S):
                while not await _listens(self.address, HTTPS):
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            said = last_words(self.folder / "bmc.log")
            message = f"the BMC of {self.machine.name} did not answer within {READY_S:.0f} s"
            raise CannotStart(f"{message}:\n{said}") from error

    async def stop(self) -> None:
        await self._keeper.stop()

    def _ipmi_sim(self) -> list[str]:
        password = self._password_file.read_text().strip()
        hand = shlex.join([*_PYTHON, hands.__file__, self.machine.name])
        lan = shlex.join([*_PYTHON, hands.__file__, str(self.folder / "lan.json")])
        auths = "".join(
            f"  allowed_auths_{level} none md2 md5 straight\n"
            for level in ("user", "operator", "admin")
        )
        (self.folder / "lan.json").write_text(json.dumps(self._lan()))
        _write(
            self.folder / "lan.conf",
            f'name "{self.machine.name}"\n'
            f"startlan 1\n  addr {self.address} 623\n  priv_limit admin\n{auths}"
            f"  guid {self.machine.uuid.replace('-', '') if self.machine.uuid else '0' * 32}\n"
            f'  lan_config_program "{lan}"\nendlan\n'
            f'chassis_control "{hand}"\n'
            f"serial 15 127.0.0.1 {self.kcs_port} codec VM\n"
            f'user 1 false "" "" user 10 none md2 md5 straight\n'
            f'user 2 true "{USER}" "{password}" admin 10 none md2 md5 straight\n',
        )
        # A line that it cannot read ends the file silently, and the LAN port is never opened.
        _write(
            self.folder / "bmc.emu",
            "mc_setbmc 0x20\n"
            "mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\n"
            "sel_enable 0x20 1000 0x0a\n"
            "mc_enable 0x20\n",
        )
        state = ["-s", str(self.folder / "state")]
        files = ["-c", str(self.folder / "lan.conf"), "-f", str(self.folder / "bmc.emu")]
        return ["ipmi_sim", *files, *state, "-n"]

    def _lan(self) -> dict[str, str]:
        mac = self.machine.nics[0].mac
        return {
            "ip_addr": self.address,
            "ip_addr_src": "static",
            "mac_addr": f"52:54:01:{mac[9:]}",
            "subnet_mask": "255.255.0.0",
            "default_gw_ip_addr": "10.98.0.1",
            "default_gw_mac_addr": "00:00:00:00:00:00",
            "backup_gw_ip_addr": "0.0.0.0",
            "backup_gw_mac_addr": "00:00:00:00:00:00",
        }

    def _sushy_emulator(self) -> list[str]:
        machine = self.machine
        config = {
            "name": machine.name,
            "uuid": machine.uuid or str(derived_uuid("bmc", machine.name)),
            "address": self.address,
            "user": USER,
            "password_file": str(self._password_file),
            "memory_mib": machine.memory_mib,
            "cpus": machine.cpus,
            "macs": [nic.mac for nic in machine.nics],
            "firmware": str(machine.firmware),
            "folder": str(self.folder),
        }
        _write(self.folder / "redfish.json", json.dumps(config))
        return [sys.executable, "-m", "muster.lab.redfish", str(self.folder / "redfish.json")]


async def _listens(address: str, port: int) -> bool:
    try:
        _reader, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    writer.close()
    return True


def _write(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text)
