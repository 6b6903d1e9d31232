# SPDX-License-Identifier: Apache-2.0
"""`muster relay`: what a remote rack fetches crosses the long wire once. The work is nginx's.

Needs no database and no image: only this program, nginx, and for DHCP and TFTP dnsmasq.
"""

import asyncio
import contextlib
import grp
import os
import pwd
import shutil
import signal
import socket
import stat
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import structlog
from cyclopts import Parameter

from muster.boot import grub
from muster.boot.arch import LOADERS
from muster.boot.dnsmasq import DhcpError, Dnsmasq
from muster.boot.relay import RELAY, CannotRelay, Relay, configuration, dhcp_lines
from muster.images.library import FIRST
from muster.server import segment
from muster.server.commands import set_up_logs
from muster.server.settings import BadSettings, Settings

log = structlog.get_logger("relay")

REFRESH_S = 60.0
_LIMIT_S = 30.0


@Parameter(name="*")
@dataclass(frozen=True)
class Flags:
    """What a relay is told; there is no settings file."""

    url: Annotated[str, Parameter(help="this relay as machines reach it: http://HOST[:PORT]")]
    listen: Annotated[str, Parameter(help="address and port of HTTP")] = "0.0.0.0:8472"
    cache: Annotated[Path, Parameter(help="folder of what is kept")] = Path(
        "/var/cache/muster-relay"
    )
    cache_gib: Annotated[int, Parameter(help="GiB of boot files that are kept at most")] = 20
    interface: Annotated[
        str, Parameter(help="where machines are: pass their DHCP on, serve loaders by TFTP")
    ] = ""
    dhcp_server: Annotated[
        str, Parameter(help="IPv4 address of the DHCP server; default: the server's")
    ] = ""

    def relay(self, server: str, *, user: str = "") -> Relay:
        """These flags for that server."""
        return Relay(
            server.rstrip("/"), self.url.rstrip("/"), self.listen, self.cache, self.cache_gib, user
        )


def snippet(server: str, /, *, flags: Flags) -> int:
    """Print nginx's configuration of a relay for SERVER (http://HOST[:PORT])."""
    try:
        print(configuration(flags.relay(server, user=_workers())), end="")
    except CannotRelay as error:
        return _fail(error)
    return 0


def dhcp(server: str, /, *, flags: Flags) -> int:
    """Print dnsmasq's configuration of a relay; give --interface."""
    try:
        print(_dhcp(flags, flags.relay(server)), end="")
    except (CannotRelay, BadSettings) as error:
        return _fail(error)
    return 0


def run(server: str, /, *, flags: Flags) -> int:
    """Run nginx, and with --interface dnsmasq, until stopped."""
    set_up_logs(Settings())
    try:
        return asyncio.run(_run(flags, flags.relay(server, user=_workers())))
    except (CannotRelay, BadSettings, DhcpError, OSError) as error:
        return _fail(error)


def _fail(error: Exception) -> int:
    print(f"muster relay: {error}", file=sys.stderr)
    return 1


def _workers() -> str:
    """nginx's workers need no rights; the distributions differ in whom they are."""
    if os.geteuid() != 0:
        return ""
    for name in ("www-data", "nginx", "nobody"):
        with contextlib.suppress(KeyError):
            return f"{name} {grp.getgrgid(pwd.getpwnam(name).pw_gid).gr_name}"
    return ""


def _dhcp(flags: Flags, relay: Relay) -> str:
    if not flags.interface:
        raise CannotRelay("where are the machines? --interface NAME")
    here = segment.find(Settings(interface=flags.interface))
    return dhcp_lines(
        relay,
        interface=flags.interface,
        address=here.ip,
        dhcp_server=flags.dhcp_server or _resolved(relay.server),
    )


def _resolved(server: str) -> str:
    name = urlsplit(server).hostname or ""
    try:
        return socket.gethostbyname(name)
    except OSError as error:
        raise CannotRelay(f"server {name!r}: {error}; give --dhcp-server ADDRESS") from error


async def _run(flags: Flags, relay: Relay) -> int:
    text = configuration(relay)
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/sbin:/usr/bin")
    if program is None:
        raise CannotRelay("nginx is not installed: apt-get install nginx-light")
    relay.folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    if relay.user and not relay.folder.stat().st_mode & stat.S_IXOTH:
        who = relay.user.partition(" ")[0]
        raise CannotRelay(f"--cache {relay.folder}: {who} (nginx) may not enter it: chmod 755")
    file = relay.folder / "nginx.conf"
    file.write_text(text)
    dnsmasq = _dnsmasq(flags, relay) if flags.interface else None
    # The kernel ends nginx with us, also after kill -9.
    words = ["setpriv", "--pdeathsig=TERM", program, "-c", str(file), "-p", str(relay.folder)]
    nginx = await asyncio.create_subprocess_exec(*words, "-e", "stderr")
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _end, nginx)
    loaders = asyncio.create_task(Loaders(relay).work())
    try:
        if dnsmasq:
            await dnsmasq.start()
        status = await nginx.wait()
    finally:
        loaders.cancel()
        _end(nginx)
        await nginx.wait()
        if dnsmasq:
            await dnsmasq.stop()
    return status


def _end(nginx: asyncio.subprocess.Process) -> None:
    if nginx.returncode is None:
        nginx.terminate()


def _dnsmasq(flags: Flags, relay: Relay) -> Dnsmasq:
    async def on_line(line: str) -> None:
        log.info("dnsmasq", line=line)

    return Dnsmasq(_dhcp(flags, relay), relay.folder / "dhcp", on_line)


class Loaders:
    """What TFTP serves here, kept as the server has it."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._folder = relay.folder / "tftp"
        self._tags: dict[str, str] = {}
        self._said = ""

    async def work(self) -> None:
        """Look at the server every minute for ever; what is there stays while it is away."""
        while True:
            told = await asyncio.to_thread(self.refresh)
            if told and told != self._said:
                log.warning(told)
            self._said = told
            await asyncio.sleep(REFRESH_S if not told else 5)

    def refresh(self) -> str:
        """Fetch what has changed; returns what is wrong, or ""."""
        try:
            self._place("grub/grub.cfg", grub.start(self._relay.url).encode())
            for name in LOADERS:
                self._fetch(name)
            first = self._get("/boot/start.ipxe", RELAY, self._relay.url)
        except urllib.error.HTTPError as error:
            return f"{error.url}: HTTP {error.code}: has the server an image? (muster image build)"
        except OSError as error:
            return f"{self._relay.server}: {error}"
        if f" {self._relay.url}/boot/ipxe?".encode() not in first:
            return (
                f"{self._relay.server} does not take this relay's word: machines would leave it"
                " after their loader; name its address in the server's setting relays"
            )
        return ""

    def _fetch(self, name: str) -> None:
        try:
            body = self._get(f"/boot/loader/{name}", "If-None-Match", self._tags.get(name, '""'))
        except urllib.error.HTTPError as error:
            if error.code == 304 or (error.code == 404 and LOADERS[name] != FIRST):
                return
            raise
        self._place(name, body)

    def _get(self, path: str, header: str, value: str) -> bytes:
        request = urllib.request.Request(self._relay.server + path, headers={header: value})
        with urllib.request.urlopen(request, timeout=_LIMIT_S) as answer:
            body: bytes = answer.read()
            self._tags[path.rpartition("/")[2]] = answer.headers.get("ETag", "")
        return body

    def _place(self, name: str, body: bytes) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(body)
        part.chmod(0o644)
        part.replace(path)
