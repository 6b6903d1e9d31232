# SPDX-License-Identifier: Apache-2.0
"""`python -m muster.lab.redfish FILE`: sushy-emulator as the BMC of one lab machine.

The emulator is OpenStack's; ours is its view of the machine, in the place of its fake systems, and
a self-signed certificate, as BMCs come with. Imported by nothing: it is a process of its own.
"""

import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import bcrypt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sushy_tools import error as refusals
from sushy_tools.emulator import main as emulator
from sushy_tools.emulator.resources.systems.base import AbstractSystemsDriver

from muster.lab.hands import ask

_VERBS = {
    "On": "on",
    "ForceOn": "on",
    "ForceOff": "off",
    "GracefulShutdown": "soft",
    "ForceRestart": "reset",
    "GracefulRestart": "reset",
}
_DEVICES = {"Pxe": "pxe", "Hdd": "disk", "Cd": "cd", "None": "none"}


class System(AbstractSystemsDriver):  # type: ignore[misc]
    """The one system of this BMC; every argument `identity` is its UUID or name."""

    machine: dict[str, Any]

    @classmethod
    def initialize(cls, config: dict[str, Any], logger: Any) -> type["System"]:
        """The emulator calls what this returns."""
        cls._config, cls._logger = config, logger
        return cls

    @property
    def driver(self) -> str:
        """For the emulator's log."""
        return "muster lab"

    @property
    def systems(self) -> list[str]:
        """Identities."""
        return [self.machine["uuid"]]

    def uuid(self, identity: str) -> str:
        """Raises NotFound."""
        if identity not in (self.machine["uuid"], self.machine["name"]):
            raise refusals.NotFound(f"system {identity} was not found")
        return str(self.machine["uuid"])

    def name(self, identity: str) -> str:
        """The machine's name in the lab."""
        self.uuid(identity)
        return str(self.machine["name"])

    def _ask(self, identity: str, method: str = "GET", rest: str = "") -> Any:
        return ask(method, f"/machines/{self.name(identity)}{rest}")

    def get_power_state(self, identity: str) -> str:
        """On or Off."""
        return "On" if self._ask(identity)["status"] == "running" else "Off"

    def set_power_state(self, identity: str, state: str) -> None:
        """Answers at once."""
        if state not in _VERBS:
            raise refusals.BadRequest(f"unknown ResetType {state}")
        self._ask(identity, "POST", f"/press/{_VERBS[state]}")

    def get_boot_device(self, identity: str) -> str:
        """The override of the next start."""
        chosen = self._ask(identity)["next_boot"] or "none"
        return next(name for name, device in _DEVICES.items() if device == chosen)

    def set_boot_device(self, identity: str, boot_source: str) -> None:
        """For the next start only, whatever BootSourceOverrideEnabled says."""
        if boot_source not in _DEVICES:
            raise refusals.BadRequest(f"cannot boot from {boot_source}")
        self._ask(identity, "POST", f"/boot/{_DEVICES[boot_source]}")

    def set_boot_image(
        self,
        identity: str,
        device: str,
        boot_image: str | None = None,
        write_protected: bool = True,  # noqa: FBT001, FBT002 - the emulator's own signature
    ) -> None:
        """Called with the file that the emulator fetched, and without one to eject."""
        if device != "Cd" or not write_protected:
            raise refusals.NotSupportedError(f"{device}: only a CD, write-protected")
        self._ask(identity, "PUT", f"/medium?{urlencode({'file': boot_image or ''})}")

    def get_boot_mode(self, identity: str) -> str:
        """The firmware that the machine was ordered with."""
        self.uuid(identity)
        return "UEFI" if self.machine["firmware"] == "uefi" else "Legacy"

    def get_total_memory(self, identity: str) -> int:
        """GiB."""
        self.uuid(identity)
        return int(self.machine["memory_mib"]) // 1024

    def get_total_cpus(self, identity: str) -> int:
        """Threads."""
        self.uuid(identity)
        return int(self.machine["cpus"])

    def get_nics(self, identity: str) -> list[dict[str, str]]:
        """The NICs' MACs."""
        self.uuid(identity)
        return [{"id": mac, "mac": mac} for mac in self.machine["macs"]]


def certificate(address: str, file: Path) -> None:
    """A key and a self-signed certificate for ten years, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lab BMC")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), False)  # noqa: FBT003
        .sign(key, hashes.SHA256())
    )
    file.touch(mode=0o600)
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )


def main(file: Path) -> int:
    """Serve until killed."""
    System.machine = config = json.loads(file.read_text())
    folder = Path(config["folder"])
    pem, people = folder / "bmc.pem", folder / "htpasswd"
    # A BMC that is restarted keeps its certificate: it may be pinned.
    if not pem.exists():
        certificate(config["address"], pem)
    password = Path(config["password_file"]).read_text().strip()
    # Images that it fetches go when the machine goes.
    tempfile.tempdir = str(folder)
    digest = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    people.write_text(f"{config['user']}:{digest}\n")
    emulator.fakedriver.FakeDriver = System
    emulator.app.configure(
        extra_config={
            "SUSHY_EMULATOR_FAKE_DRIVER": True,
            "SUSHY_EMULATOR_AUTH_FILE": str(people),
            "SUSHY_EMULATOR_STATE_DIR": str(folder),
        }
    )
    emulator.app.run(host=config["address"], port=443, ssl_context=(pem, pem))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
