"""What an image is: its files by hash, its packages by version, and an id that covers them all."""

import functools
import hashlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from muster.images.errors import ManifestError

SIGNED: Final = {
    "amd64": ("shimx64.efi", "grubx64.efi"),
    "arm64": ("shimaa64.efi", "grubaa64.efi"),
}
LOADERS: Final = {
    "amd64": ("undionly.kpxe", "ipxe.pxe", "ipxe.efi", "snponly.efi", *SIGNED["amd64"]),
    "arm64": ("ipxe-arm64.efi", *SIGNED["arm64"]),
}
"""What an image has to start machines of its architecture with, by what they ask for."""
NEEDED: Final = ("kernel", "initrd", "squashfs")
PARTS: Final = ("swift", "drivers")
"""What a swift start fetches behind its initrd; images of before 2026-11-23 have both in it."""
FILE_NAMES: Final = (
    *NEEDED, *PARTS, *(f"loader/{name}" for names in LOADERS.values() for name in names),
)  # fmt: skip
FIRMWARE: Final = re.compile(r"firmware/[a-z0-9-]{1,32}")
"""Side packages (images/firmware.py): their number is that of the drivers that want one."""
FIRMWARE_LIMIT: Final = 128

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of an image: its SHA-256 in lower-case hexadecimal and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Package:
    """One installed package; installed_kib is the archive's own figure, before any trimming."""

    name: str
    version: str
    installed_kib: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image. Nothing in it depends on when or where it was built: same inputs, same id.

    `swift`: the initrd can read the machine without the squashfs, by itself or with PARTS.
    `origin` is "" for an image of ours; of a stock image it is the product, a space, the version.
    """

    suite: str
    arch: str
    kernel_version: str
    recipe: str
    files: dict[str, FileEntry]
    packages: list[Package] = field(default_factory=list)
    swift: bool = False
    id: str = ""
    origin: str = ""

    @property
    def product(self) -> str:
        """What versions of one stock image have in common, "" for an image of ours."""
        return self.origin.partition(" ")[0]

    def digest(self) -> str:
        """Return the SHA-256 over the canonical JSON of everything but the id."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        if not self.origin:
            # Manifests from before there were stock images keep their ids.
            del document["origin"]
        del document["id"]
        if not self.swift:
            # Manifests from before there was such a thing keep their ids.
            del document["swift"]
        return hashlib.sha256(msgspec.json.encode(document, order="sorted")).hexdigest()

    def sealed(self) -> "Manifest":
        """Return the same manifest with its id set."""
        return replace(self, id=self.digest())

    def to_json(self) -> bytes:
        """Return the canonical, indented JSON document."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=2) + b"\n"


def load(path: Path) -> Manifest:
    """Read and check a manifest file; ManifestError names the file and the field."""
    try:
        return parse(path.read_bytes())
    except OSError as problem:
        raise ManifestError(f"{path}: cannot be read: {problem.strerror}") from problem
    except ManifestError as problem:
        raise ManifestError(f"{path}: {problem}") from problem


@functools.lru_cache(maxsize=64)
def parse(document: bytes) -> Manifest:
    """Read and check a manifest document; every boot answer does, of the same few."""
    try:
        manifest = msgspec.json.decode(document, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise ManifestError(f"is not an image manifest: {problem}") from problem
    check(manifest)
    return manifest


def check(manifest: Manifest) -> None:
    """Refuse a manifest with missing or foreign files, malformed hashes, or another's id."""
    firmware = {name for name in manifest.files if FIRMWARE.fullmatch(name)}
    odd = sorted({*NEEDED} - {*manifest.files} | {*manifest.files} - {*FILE_NAMES} - firmware)
    if odd:
        raise ManifestError(f"files: missing or unknown: {', '.join(odd)}")
    if len(firmware) > FIRMWARE_LIMIT:
        raise ManifestError(f"files: {len(firmware)} of firmware, more than {FIRMWARE_LIMIT}")
    for name, entry in manifest.files.items():
        if not _SHA256.fullmatch(entry.sha256):
            raise ManifestError(f"files: {name}: sha256 is not 64 lower-case hexadecimal digits")
        if entry.size <= 0:
            raise ManifestError(f"files: {name}: size {entry.size} is not a size")
    if not _SHA256.fullmatch(manifest.recipe):
        raise ManifestError("recipe is not a SHA-256")
    if manifest.id != manifest.digest():
        raise ManifestError(
            f"id {manifest.id[:12] or '(none)'} does not match the contents, which hash to "
            f"{manifest.digest()[:12]}: the manifest was changed after it was built"
        )


def describe(path: Path) -> FileEntry:
    """Hash one file."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    return FileEntry(sha256=digest.hexdigest(), size=path.stat().st_size)
