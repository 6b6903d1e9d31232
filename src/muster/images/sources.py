"""The apt sources of this machine, read as what to build an image from.

Both formats of sources.list(5) are read. Only the distribution's own entries count: their suite is
the machine's codename or its -updates or -security, they have the component main, and where they
name a keyring it is the distribution's. Everything else (vendors' repositories) has no place in an
image, and none of it has the other suites that an image may be built of.
"""

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from muster.images.errors import SourcesError

_POCKETS: Final = ("", "-updates", "-security")
_KEYRINGS: Final = ("debian-archive", "ubuntu-archive")


@dataclass(frozen=True, slots=True)
class Source:
    """One entry of the distribution: where, which suites, which components, which keyring."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""

    def stanza(self) -> str:
        """Return the entry in deb822 format."""
        lines = [
            "Types: deb",
            f"URIs: {' '.join(self.uris)}",
            f"Suites: {' '.join(self.suites)}",
            f"Components: {' '.join(self.components)}",
        ]
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        return "\n".join(lines) + "\n"


def read(etc: Path = Path("/etc")) -> tuple[str, tuple[Source, ...]]:
    """Return this machine's codename and its distribution's own sources."""
    codename = _codename(etc / "os-release")
    apt = etc / "apt"
    entries: list[Source] = []
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]:
        if path.is_file():
            entries += parse_list(path.read_text(errors="replace"))
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        entries += parse_deb822(path.read_text(errors="replace"))
    own = tuple(found for entry in entries if (found := _own(entry, codename)) is not None)
    if not own:
        raise SourcesError(
            f"{apt} has no entry for {codename} (component main): an image is built from this "
            "machine's own sources; add the distribution's mirror there and run 'apt-get update'"
        )
    return codename, own


def swap_suite(sources: tuple[Source, ...], old: str, new: str) -> tuple[Source, ...]:
    """Return the same mirrors with another suite of the same distribution."""
    return tuple(
        replace(one, suites=tuple(new + suite.removeprefix(old) for suite in one.suites))
        for one in sources
    )


def with_component(sources: tuple[Source, ...], name: str) -> tuple[Source, ...]:
    """Return the same mirrors with one component more, where they have it not yet."""
    return tuple(
        one if name in one.components else replace(one, components=(*one.components, name))
        for one in sources
    )


def parse_list(text: str) -> list[Source]:
    """Read the one-line format: deb [options] uri suite component..."""
    entries = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[(?P<options>[^]]*)\]\s*)?(?P<rest>[^#]*)", line)
        if match is None:
            continue
        uri, _, rest = match["rest"].strip().partition(" ")
        suite, *components = rest.split() or [""]
        options = dict(word.partition("=")[::2] for word in shlex.split(match["options"] or ""))
        entries.append(Source((uri,), (suite,), tuple(components), options.get("signed-by", "")))
    return entries


def parse_deb822(text: str) -> list[Source]:
    """Read the deb822 format: stanzas of fields, '#' lines are comments anywhere."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    entries = []
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = {
            name.lower(): " ".join(value.split())
            for name, value in re.findall(r"(?m)^([A-Za-z0-9-]+):((?:.*)(?:\n[ \t].*)*)", stanza)
        }
        if "deb" not in fields.get("types", "").split() or fields.get("enabled") == "no":
            continue
        entries.append(
            Source(
                tuple(fields.get("uris", "").split()),
                tuple(fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                fields.get("signed-by", ""),
            )
        )
    return entries


def _own(entry: Source, codename: str) -> Source | None:
    suites = tuple(suite for suite in entry.suites if suite in _pockets(codename))
    if not suites or "main" not in entry.components:
        return None
    if entry.signed_by and not any(name in entry.signed_by for name in _KEYRINGS):
        return None
    if any(uri.startswith("cdrom:") for uri in entry.uris):
        return None
    return replace(entry, suites=suites)


def _pockets(codename: str) -> tuple[str, ...]:
    return tuple(codename + pocket for pocket in _POCKETS)


def _codename(os_release: Path) -> str:
    text = os_release.read_text() if os_release.is_file() else ""
    match = re.search(r'(?m)^VERSION_CODENAME="?([a-z]+)"?$', text)
    if match is None:
        raise SourcesError(
            f"{os_release} names no VERSION_CODENAME: images are built on Debian and Ubuntu"
        )
    return match[1]
