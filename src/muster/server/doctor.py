# SPDX-License-Identifier: Apache-2.0
"""`muster doctor`: checks what a server needs here; each finding names the remedy."""

import os
import resource
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from muster.boot import discover
from muster.boot.discover import Offer
from muster.boot.snippets import expectations
from muster.images.errors import ManifestError
from muster.images.library import FIRST, Library
from muster.server import segment
from muster.server.settings import BadSettings, Settings, images_folder


@dataclass(frozen=True)
class Finding:
    """`verdict`: ok, warning or wrong."""

    what: str
    verdict: str
    said: str


def examine(settings: Settings) -> Iterator[Finding]:
    """Every check, one after another."""
    checks: list[tuple[str, Callable[[Settings], Finding | None]]] = [
        ("interface", _interface),
        ("dhcp", _dhcp),
        ("http port", _http_port),
        ("data folder", _data),
        ("image", _image),
        ("limits", _limits),
        ("clock", _clock),
        ("tools", _tools),
    ]
    for what, check in checks:
        finding = check(settings)
        if finding:
            yield Finding(what, finding.verdict, finding.said)


def situation(settings: Settings) -> list[Finding]:
    """Whether machines can arrive at the server that runs with these settings."""
    checks = (("interface", _interface), ("dhcp", _dhcp_beside), ("image", _image))
    found = [(what, check(settings)) for what, check in checks]
    return [Finding(what, one.verdict, one.said) for what, one in found if one]


def _dhcp_beside(settings: Settings) -> Finding | None:
    """As `_dhcp`, where our own server may be the one that answers."""
    if settings.dhcp == "none":
        told = "none of ours: yours must name our loader; its lines: muster dhcp snippet"
        return Finding("", "warning", told)
    if settings.dhcp != "own":
        return _dhcp(settings)
    try:
        own = segment.find(settings).ip
        heard = segment.other_servers(settings.interface) if os.geteuid() == 0 else []
    except (BadSettings, OSError) as error:
        return Finding("", "warning", f"cannot look for other DHCP servers: {error}")
    others = " and ".join(offer.named for offer in heard if offer.server != own)
    if not others:
        return _ok(f"ours gives addresses on {settings.interface}; no other was seen")
    return _wrong(f"another DHCP server answers: {others}; stop it, or use --dhcp proxy")


_SECOND = "two servers answer, and machines hear either; stop one"


def _ok(said: str) -> Finding:
    return Finding("", "ok", said)


def _wrong(said: str) -> Finding:
    return Finding("", "wrong", said)


def _interface(settings: Settings) -> Finding:
    if not settings.interface:
        return Finding("", "warning", "none is set: machines cannot boot here; set --interface")
    try:
        found = segment.find(settings)
    except BadSettings as error:
        return _wrong(str(error))
    first, last = found.range()
    return _ok(f"{found.interface} has {found.address}; pool {first} to {last}")


def _dhcp(settings: Settings) -> Finding | None:
    if not settings.interface:
        return None
    if os.geteuid() != 0:
        return Finding("", "warning", "not root: cannot look for other DHCP servers")
    try:
        others = segment.other_servers(settings.interface)
        if settings.dhcp == "external":
            return _external(settings, others)
    except (OSError, BadSettings) as error:
        return Finding("", "warning", f"cannot look for other DHCP servers: {error}")
    named = " and ".join(offer.named for offer in others)
    if settings.dhcp == "own":
        told = f"another DHCP server answers: {named}; use --dhcp proxy, or stop it"
        return _wrong(told) if others else _ok("no other DHCP server answers")
    giving = [offer.named for offer in others if offer.address]
    if settings.dhcp == "proxy" and not giving:
        return _wrong("no DHCP server answers: machines get no address; use --dhcp own")
    if settings.dhcp == "proxy" and len(others) > 1:
        return _wrong(f"{_SECOND}: {named}")
    if settings.dhcp == "proxy":
        return _beside_proxy(settings, others[0])
    return _ok(f"addresses come from {named}" if others else "no DHCP server answers here")


def _beside_proxy(settings: Settings, site: Offer) -> Finding:
    """UEFI HTTP clients take no proxyDHCP answer from dnsmasq: the site's server must tell them."""
    wanted = next(w for w in expectations(segment.here(settings)) if w.vendor)
    heard = discover.offers(settings.interface, wanted.asking)
    told = f"addresses come from {site.named}"
    if heard and not any(map(wanted.problem, heard)):
        return _ok(told)
    remedy = f"{site.named} must send them to {wanted.file} (its lines: muster dhcp snippet)"
    return Finding("", "warning", f"{told}; firmware that boots by HTTP hears no proxy: {remedy}")


def _external(settings: Settings, others: list[Offer]) -> Finding:
    """Does the site's own server tell each kind of client what our lines say?"""
    if not any(offer.address for offer in others):
        return _wrong("no DHCP server answers: machines get no address; use --dhcp own")
    if len(others) > 1:
        return _wrong(f"{_SECOND}: {' and '.join(offer.named for offer in others)}")
    here = segment.here(settings)
    problems = []
    there = {FIRST, *(image.arch for image in Library(images_folder(settings)).all())}
    for wanted in expectations(here, arches=there):
        heard = discover.offers(settings.interface, wanted.asking)
        problems += [wanted.problem(heard[0])] if heard else [f"{wanted.asking.name}: no answer"]
    wrong = [problem for problem in problems if problem]
    if wrong:
        told = "; ".join(wrong)
        return _wrong(f"{others[0].named}: {told}; its lines: muster dhcp snippet")
    return _ok(f"{others[0].named} sends every kind of machine here ({len(problems)} asked)")


def _http_port(settings: Settings) -> Finding:
    host, _, port = settings.listen.rpartition(":")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]") or "0.0.0.0", int(port)))
        except (OSError, ValueError, OverflowError) as error:
            return _wrong(f"{settings.listen}: {error}; another server there? (setting: listen)")
    return _ok(f"{settings.listen} is free")


def _data(settings: Settings) -> Finding:
    folder = Path(settings.data)
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(existing, os.W_OK):
        return _wrong(f"{existing} cannot be written (setting: data)")
    free = shutil.disk_usage(existing).free // 2**20
    told = f"{folder}: {free} MiB free"
    return _ok(told) if free > 4096 else Finding("", "warning", f"{told}; an image needs 4096")


def _image(settings: Settings) -> Finding:
    library = Library(images_folder(settings))
    try:
        image = library.current()
    except ManifestError as error:
        return _wrong(f"{error}: run 'muster image build'")
    if image is None:
        return _wrong("none: run 'muster image build'")
    problems = library.verify(image.id)
    if problems:
        return _wrong(f"{'; '.join(problems)}: run 'muster image build --refresh'")
    return _ok(f"{image.suite} {image.arch}, kernel {image.kernel_version}, every file verified")


def _limits(settings: Settings) -> Finding:
    """Each machine that fetches holds a connection and a file."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    boots, roots, agents = (
        settings.boots_at_once,
        settings.roots_at_once,
        settings.agents_at_once,
    )
    told = f"{boots} kernels, {roots} root file systems, {agents} agents' requests at once"
    # Others wait with a connection of their own; database, children and pages need the rest.
    needed = 2 * (boots + roots) + 2 * agents + 512
    if files < needed:
        remedy = f"raise LimitNOFILE (ulimit -Hn) to {needed}, or lower boots_at_once"
        return Finding("", "warning", f"{told}, but only {files} open files: {remedy}")
    return _ok(f"{told}; {files} open files")


def _clock(_: Settings) -> Finding:
    now = datetime.now(UTC)
    if now.year < 2025:
        return _wrong(f"this machine believes it is {now:%Y-%m-%d}: set the clock")
    return _ok(f"{now:%Y-%m-%d %H:%M:%S} UTC")


def _tools(settings: Settings) -> Finding:
    wanted = {"ip": "iproute2"}
    if settings.dhcp != "none":
        wanted |= {"dnsmasq": "dnsmasq-base"}
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [package for tool, package in wanted.items() if not shutil.which(tool, path=path)]
    if missing:
        return _wrong(f"missing: apt-get install {' '.join(missing)}")
    return _ok(f"{', '.join(wanted)} are there")
