# SPDX-License-Identifier: Apache-2.0
"""The server's settings: one TOML file, environment variables and flags, in rising order.

Every setting has one name everywhere: `dhcp_pool` in the file, MUSTER_DHCP_POOL in the
environment, --dhcp-pool on the command line. `muster settings` shows each value's origin.
"""

import dataclasses
import math
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFAULT_FILE = Path("/etc/muster/muster.toml")
CHOICES = {
    "dhcp": ("own", "proxy", "external", "none"),
    "uefi_loader": ("grub", "ipxe"),
    "start": ("swift", "cloud-init"),
    "datasource": ("nocloud", "maas"),
    "enlist": ("accept", "hold", "deny"),
    "manifest": ("show", "apply"),
    "bmc_config": ("off", "on"),
    "log": ("console", "json"),
}


class BadSettings(ValueError):
    """A setting that cannot be: names it, where it came from, and what it may be."""


def _setting(default: Any, text: str, *, least: int | None = None) -> Any:
    """`least`: the smallest number allowed; None means anything above 0."""
    metadata = {"help": text, "least": least}
    if isinstance(default, list):
        return field(default_factory=list, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """All settings with their defaults; lists are written with commas outside the file."""

    data: str = _setting("/var/lib/muster", "folder of the database, images and keys")
    images: str = _setting("", "folder of images; default: images in the data folder")
    database: str = _setting("", "database URL; default: SQLite in the data folder")
    key_file: str = _setting("", "keys of BMC secrets; default: keys/secrets.key in data")
    vault_url: str = _setting("", "Vault or OpenBao that holds those keys instead of the file")
    vault_mount: str = _setting("secret", "its KV version 2 mount")
    vault_path: str = _setting("muster/keys", "where in that mount")
    vault_role_id: str = _setting("", "AppRole of the server; with vault_secret_id_file")
    vault_secret_id_file: str = _setting("", "file (0600) with the role's secret id")
    vault_token_file: str = _setting("", "file (0600) with a token, instead of a role")
    vault_ca_file: str = _setting("", "CA of Vault's certificate; default: the system's")
    vault_namespace: str = _setting("", "namespace in Vault; default: none")
    listen: str = _setting("0.0.0.0:8472", "address and port of HTTP")
    url: str = _setting("", "the server as machines reach it; default: the interface's address")
    files_url: str = _setting("", "where machines fetch boot files, when not from the server")
    metadata_url: str = _setting("", "where machines fetch their seed, when not from the server")
    relays: list[str] = _setting([], "addresses of relays (muster relay), whose word is taken")
    interface: str = _setting("", "network interface on which machines boot")
    dhcp: str = _setting(
        "none", "own: give addresses; proxy: beside another DHCP; external: only TFTP; none"
    )
    uefi_loader: str = _setting(
        "grub", "UEFI machines start grub (shim and GRUB: Secure Boot on or off) or ipxe"
    )
    dhcp_pool: str = _setting("", "FIRST,LAST address; default: upper half of the network")
    dhcp_router: str = _setting("", "router that machines are told; default: none")
    dhcp_dns: list[str] = _setting([], "name servers that machines are told")
    dhcp_remote: list[str] = _setting(
        [], "networks behind DHCP relays: FIRST-LAST/PREFIX [router ADDRESS] [relay URL]"
    )
    dhcp_reserved: list[str] = _setting([], "addresses kept for machines: MAC=ADDRESS")
    first_password_file: str = _setting("", "file with the first admin's password; default: made")
    enlist: str = _setting("accept", "unknown machines: accept, hold (a person says yes), deny")
    manifest: str = _setting(
        "show", "a New machine of the manifest: show it, or apply name, pool and tags of its row"
    )
    start: str = _setting(
        "swift", "swift: the agent first, systemd only where it is needed; or cloud-init always"
    )
    datasource: str = _setting("nocloud", "seed of stock images: nocloud, or MAAS's layout: maas")
    kernel_options: str = _setting("", "added to the kernel command line of every machine")
    ntp_servers: list[str] = _setting([], "time servers that machines are told")
    ssh_keys: list[str] = _setting([], "public keys let in while commissioning with enable_ssh")
    nonce_s: float = _setting(1800.0, "seconds that a boot's one-time secret lives")
    heartbeat_s: float = _setting(2.5, "seconds between an agent's signs of life")
    silence_s: float = _setting(90.0, "seconds without a sign after which a run has failed")
    arrive_s: float = _setting(1800.0, "seconds for a machine to start after 'commission'")
    commission_retries: int = _setting(
        1, "times that a machine lost while commissioning is started anew", least=0
    )
    power_s: float = _setting(180.0, "seconds for a power action to succeed")
    bmc_config: str = _setting(
        "off", "commissioning makes a user for muster in a machine's BMC: on or off"
    )
    power_at_once: int = _setting(100, "BMCs that are switched at once")
    power_a_subnet: int = _setting(50, "BMCs of one /24 (IPv6: /64) that are switched at once")
    poll_s: float = _setting(60.0, "seconds between two looks at a machine's power state")
    boots_at_once: int = _setting(256, "machines that fetch kernel and initrd at once; others wait")
    roots_at_once: int = _setting(64, "machines that fetch a root file system at once")
    agents_at_once: int = _setting(256, "agents' requests worked on at once; others come later")
    output_limit: int = _setting(10485760, "bytes of output kept of one script")
    log: str = _setting("console", "log format: console or json")


@dataclass(frozen=True)
class Resolved:
    """Settings, and for each name where its value came from."""

    settings: Settings
    origin: dict[str, str]


def resolve(*, file: Path | None, environment: dict[str, str], flags: dict[str, Any]) -> Resolved:
    """Defaults, then the file, the environment and the flags; raises BadSettings."""
    known = {f.name: f for f in dataclasses.fields(Settings)}
    values: dict[str, Any] = {}
    origin = dict.fromkeys(known, "default")
    for name, value, where in _given(file, environment, flags):
        if name not in known:
            near = ", ".join(sorted(known))
            raise BadSettings(f"{where}: there is no setting {name!r}; there are: {near}")
        values[name] = _convert(known[name], value, where)
        origin[name] = where
    return Resolved(Settings(**values), origin)


def _given(
    file: Path | None, environment: dict[str, str], flags: dict[str, Any]
) -> list[tuple[str, Any, str]]:
    given = [(name, value, str(file)) for name, value in _read(file).items()]
    names = {f"MUSTER_{f.name.upper()}": f.name for f in dataclasses.fields(Settings)}
    given += [
        (name, environment[variable], f"environment {variable}")
        for variable, name in names.items()
        if variable in environment
    ]
    given += [
        (name, value, f"flag --{name.replace('_', '-')}")
        for name, value in flags.items()
        if value is not None
    ]
    return given


def _read(file: Path | None) -> dict[str, Any]:
    if file is None:
        if not DEFAULT_FILE.exists():
            return {}
        file = DEFAULT_FILE
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise BadSettings(f"settings file {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"settings file {file}: not TOML: {error}") from error


def _convert(setting: dataclasses.Field[Any], value: Any, where: str) -> Any:
    kind = setting.type if isinstance(setting.type, str) else getattr(setting.type, "__name__", "")
    try:
        if str(setting.type).startswith("list"):
            items = value.split(",") if isinstance(value, str) else value
            return [str(item).strip() for item in items if str(item).strip()]
        if kind in ("float", "int"):
            return _number(kind, value, setting.metadata["least"])
        if not isinstance(value, str):
            raise ValueError("must be a text")
    except (TypeError, ValueError) as error:
        raise BadSettings(f"{where}: {setting.name}={value!r}: {error}") from error
    choices = CHOICES.get(setting.name)
    if choices and value not in choices:
        raise BadSettings(f"{where}: {setting.name}={value!r}: must be one of {', '.join(choices)}")
    return value


def _number(kind: str, value: Any, least: int | None) -> float | int:
    if isinstance(value, bool) or (kind == "int" and isinstance(value, float)):
        raise TypeError("must be a whole number" if kind == "int" else "must be a number")
    number = float(value) if kind == "float" else int(value)
    if least is not None and number < least:
        raise ValueError(f"must be at least {least}")
    if (least is None and number <= 0) or not math.isfinite(number):
        raise ValueError("must be more than 0 and finite")
    return number


def images_folder(settings: Settings) -> Path:
    """Where the image library is."""
    return Path(settings.images or f"{settings.data}/images")


def key_file(settings: Settings) -> Path:
    """Where the keys are that BMC secrets are sealed with: never in the database."""
    return Path(settings.key_file or f"{settings.data}/keys/secrets.key")


def from_process(file: Path | None, flags: dict[str, Any]) -> Resolved:
    """Resolve with this process's environment."""
    return resolve(file=file, environment=dict(os.environ), flags=flags)
