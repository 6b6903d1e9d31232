# SPDX-License-Identifier: Apache-2.0
"""The local commands of the hall: serve, settings, doctor."""

import dataclasses
import logging
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
import structlog
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from muster.boot import kea, nginx
from muster.boot.snippets import Kind, snippet
from muster.lifecycle import switches
from muster.lifecycle.keyring import KeyringError
from muster.server import doctor as doctors
from muster.server import segment
from muster.server import serve as hall
from muster.server.app import utc_now
from muster.server.settings import BadSettings, Resolved, Settings, from_process, images_folder
from muster.server.sockets import CannotStart
from muster.store.engine import CannotOpen

# The password in postgresql://user:PASSWORD@host/; a terminal is often somebody else's to see.
_PASSWORD = re.compile(r"(://[^/@:]*:)[^@]*@")
_HELP = {f.name: f.metadata["help"] for f in dataclasses.fields(Settings)}


@Parameter(name="*")
@dataclass(frozen=True)
class Flags:
    """Settings given as flags; each is told by `muster settings`."""

    config: Annotated[Path | None, Parameter(help="settings file (TOML)")] = None
    data: Annotated[str | None, Parameter(help=_HELP["data"])] = None
    images: Annotated[str | None, Parameter(help=_HELP["images"])] = None
    database: Annotated[str | None, Parameter(help=_HELP["database"])] = None
    listen: Annotated[str | None, Parameter(help=_HELP["listen"])] = None
    url: Annotated[str | None, Parameter(help=_HELP["url"])] = None
    files_url: Annotated[str | None, Parameter(help=_HELP["files_url"])] = None
    metadata_url: Annotated[str | None, Parameter(help=_HELP["metadata_url"])] = None
    interface: Annotated[str | None, Parameter(help=_HELP["interface"])] = None
    dhcp: Annotated[
        Literal["own", "proxy", "external", "none"] | None, Parameter(help=_HELP["dhcp"])
    ] = None
    dhcp_pool: Annotated[str | None, Parameter(help=_HELP["dhcp_pool"])] = None
    dhcp6: Annotated[Literal["own", "none"] | None, Parameter(help=_HELP["dhcp6"])] = None
    dhcp6_pool: Annotated[str | None, Parameter(help=_HELP["dhcp6_pool"])] = None
    uefi_loader: Annotated[Literal["grub", "ipxe"] | None, Parameter(help=_HELP["uefi_loader"])] = (
        None
    )
    start: Annotated[Literal["swift", "cloud-init"] | None, Parameter(help=_HELP["start"])] = None
    datasource: Annotated[
        Literal["nocloud", "maas"] | None, Parameter(help=_HELP["datasource"])
    ] = None
    kernel_options: Annotated[str | None, Parameter(help=_HELP["kernel_options"])] = None
    enlist: Annotated[Literal["accept", "hold", "deny"] | None, Parameter(help=_HELP["enlist"])] = (
        None
    )
    log: Annotated[Literal["console", "json"] | None, Parameter(help=_HELP["log"])] = None


def serve(*, flags: Flags | None = None) -> int:
    """Serve machines and people until stopped."""
    resolved = _resolve(flags)
    if resolved is None:
        return 2
    set_up_logs(resolved.settings)
    try:
        hall.run(resolved.settings)
    except CannotStart as error:
        print(f"muster serve: {error}", file=sys.stderr)
        return 1
    return 0


def settings(*, flags: Flags | None = None) -> int:
    """Explain every setting: its value, where that came from, what it means."""
    resolved = _resolve(flags)
    if resolved is None:
        return 2
    table = Table("setting", "value", "from", "meaning")
    for field in dataclasses.fields(Settings):
        value = getattr(resolved.settings, field.name)
        shown = (
            ", ".join(value) if isinstance(value, list) else _PASSWORD.sub(r"\1***@", str(value))
        )
        table.add_row(field.name, shown, resolved.origin[field.name], _HELP[field.name])
    Console().print(table)
    return 0


def doctor(*, flags: Flags | None = None) -> int:
    """Check interface, ports, image, clock and tools; exit status 1 when something is wrong."""
    resolved = _resolve(flags)
    if resolved is None:
        return 2
    console = Console()
    colours = {"ok": "green", "warning": "yellow", "wrong": "red"}
    wrong = False
    for finding in doctors.examine(resolved.settings):
        wrong = wrong or finding.verdict == "wrong"
        colour = colours[finding.verdict]
        console.print(
            f"[{colour}]{finding.verdict:8}[/{colour}] [bold]{finding.what}[/bold]: ", end=""
        )
        console.print(finding.said, markup=False)
    return 1 if wrong else 0


def dhcp_snippet(kind: Kind, /, *, flags: Flags | None = None) -> int:
    """Print the lines that make another DHCP server, or an iPXE of your own, send machines here.

    Parameters
    ----------
    kind
        What the lines are for: Kea, ISC's dhcpd, dnsmasq, Windows (PowerShell), or the script that
        an iPXE brings along (docs/dhcp.md).
    """
    resolved = _resolve(flags)
    if resolved is None:
        return 2
    try:
        print(snippet(kind, segment.here(resolved.settings)), end="")
    except BadSettings as error:
        print(f"muster dhcp snippet: {error}", file=sys.stderr)
        return 1
    return 0


def dhcp_kea(*, primary: str, standby: str, this: str, flags: Flags | None = None) -> int:
    """Print kea-dhcp4.conf of one of a pair, with pools and addresses as the settings say.

    Parameters
    ----------
    primary
        IPv4 address of the Kea that answers.
    standby
        IPv4 address of the Kea that takes over.
    this
        Which of the two the configuration is for.
    """
    resolved = _resolve(flags)
    if resolved is None:
        return 2
    chosen = resolved.settings
    try:
        if not chosen.interface:
            raise kea.NoPair("on which network interface? --interface NAME")
        pair = kea.Pair(primary, standby, this)
        print(kea.configuration(segment.find(chosen), segment.here(chosen), pair), end="")
    except (BadSettings, kea.NoPair) as error:
        print(f"muster dhcp kea: {error}", file=sys.stderr)
        return 1
    return 0


def nginx_snippet(*, flags: Flags | None = None) -> int:
    """Print the lines that make nginx serve boot files, at the address that --files-url gives."""
    resolved = _resolve(flags)
    if resolved is None:
        return 2
    chosen = resolved.settings
    try:
        if not chosen.files_url:
            raise nginx.CannotServe("where shall nginx listen? --files-url http://HOST[:PORT]")
        print(nginx.snippet(images_folder(chosen), chosen.files_url), end="")
    except nginx.CannotServe as error:
        print(f"muster nginx snippet: {error}", file=sys.stderr)
        return 1
    return 0


def rotate_secrets(*, flags: Flags | None = None) -> int:
    """Seal every BMC secret with a new key; servers may run meanwhile. The old key goes."""
    resolved = _resolve(flags)
    if resolved is None:
        return 2
    try:
        store = hall.open_store(resolved.settings)
        keyring = hall.open_keyring(resolved.settings, store)
        secrets, keys = switches.rotate(store, keyring, actor="local", now=utc_now())
    except (CannotStart, CannotOpen, KeyringError, OSError) as error:
        print(f"muster rotate-secrets: {error}", file=sys.stderr)
        return 1
    print(f"{secrets} secrets sealed anew, {keys} old keys forgotten: {keyring.where}")
    return 0


def set_up_logs(chosen: Settings) -> None:
    """structlog for everybody; uvicorn's own lines join in."""
    rendering: Any = (
        structlog.processors.JSONRenderer()
        if chosen.log == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        # A call below this level does nothing; stdlib's asks its logger first, for 4 % of a storm.
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _resolve(flags: Flags | None) -> Resolved | None:
    given = dataclasses.asdict(flags) if flags else {}
    file = given.pop("config", None)
    try:
        return from_process(file, given)
    except BadSettings as error:
        print(f"muster: {error}", file=sys.stderr)
        return None


def add_to(app: cyclopts.App) -> None:
    """Put these commands into the tree."""
    for command in (serve, settings, doctor, rotate_secrets):
        app.command(command)
