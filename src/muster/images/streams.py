# SPDX-License-Identifier: Apache-2.0
"""Reads simplestreams: which stock images a site offers, signed, as Ubuntu's ephemeral v3 does.

streams/v1/index.sjson names product files, a product has versions, a version has items with path,
size and SHA-256. A signed document (.sjson) is text in an OpenPGP clear signature; only what gpgv
gives back is read, so nothing around the signed part counts.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import msgspec

from muster.images.errors import StreamError
from muster.images.fetch import document
from muster.images.manifest import FileEntry

UBUNTU = "https://images.maas.io/ephemeral-v3/stable/"
KEYRING = Path("/usr/share/keyrings/ubuntu-cloudimage-keyring.gpg")
INDEX = "streams/v1/index.sjson"
_FILES = {"boot-kernel": "kernel", "boot-initrd": "initrd", "squashfs": "squashfs"}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}")


@dataclass(frozen=True)
class Offered:
    """One version of one product; `files` by our name: the URL and what it must be."""

    product: str
    version: str
    release: str
    arch: str
    kernel: str
    files: dict[str, tuple[str, FileEntry]]


def offered(stream: str, keyring: Path) -> list[Offered]:
    """Every bootable image of a stream; StreamError says which document is wrong, and how."""
    base = stream if stream.endswith("/") else f"{stream}/"
    index = _read(urljoin(base, INDEX), keyring)
    found: list[Offered] = []
    for name, entry in _objects(index, "index", INDEX):
        if entry.get("datatype", "image-downloads") != "image-downloads":
            continue
        path = _path(entry, f"{INDEX}: {name}")
        products = _objects(_read(urljoin(base, path), keyring), "products", path)
        for product, told in products:
            found += _versions(base, product, told, path)
    if not found:
        raise StreamError(f"{base}: the stream has no image with kernel, initrd and squashfs")
    return found


def choose(
    there: list[Offered], *, release: str, arch: str, kernel: str, version: str = ""
) -> Offered:
    """The newest version for these words; StreamError names what there is instead."""
    fits = [one for one in there if (one.release, one.arch) == (release, arch)]
    if not fits:
        known = ", ".join(sorted({f"{one.release}/{one.arch}" for one in there}))
        raise StreamError(f"the stream has no {release} for {arch}; it has {known}")
    kernels = sorted({one.kernel for one in fits})
    general = [name for name in kernels if name.startswith("ga-")]
    wanted = kernel or (general or kernels)[0]
    if wanted not in kernels:
        raise StreamError(f"{release}/{arch} has no kernel {wanted}; it has {', '.join(kernels)}")
    fits = [one for one in fits if one.kernel == wanted]
    if version:
        known = ", ".join(sorted(one.version for one in fits))
        fits = [one for one in fits if one.version == version]
        if not fits:
            raise StreamError(f"{release}/{arch} has no version {version}; it has {known}")
    return max(fits, key=lambda one: one.version)


def _versions(base: str, product: str, told: dict[str, Any], path: str) -> Iterator[Offered]:
    where = f"{path}: {product}"
    if told.get("kflavor", "generic") != "generic":
        return
    for version, entry in _objects(told, "versions", where):
        items = dict(_objects(entry, "items", f"{where}: {version}"))
        by_type = {item.get("ftype", name): item for name, item in items.items()}
        # Older versions of a product have a root-image and no squashfs: these cannot be booted.
        if not set(_FILES) <= set(by_type):
            continue
        yield Offered(
            product=_word(product, where),
            version=_word(version, where),
            release=_word(told.get("release"), f"{where}: release"),
            arch=_word(told.get("arch"), f"{where}: arch"),
            kernel=_word(told.get("subarch", "generic"), f"{where}: subarch"),
            files={
                ours: _file(base, by_type[theirs], f"{where}: {version}: {theirs}")
                for theirs, ours in _FILES.items()
            },
        )


def _file(base: str, item: dict[str, Any], where: str) -> tuple[str, FileEntry]:
    digest, size = item.get("sha256"), item.get("size")
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise StreamError(f"{where}: sha256 is not 64 hexadecimal digits")
    if not isinstance(size, int) or not 0 < size < 1 << 40:
        raise StreamError(f"{where}: size is not a number of bytes")
    return urljoin(base, _path(item, where)), FileEntry(digest, size)


def _read(url: str, keyring: Path) -> Any:
    text = verified(document(url), keyring, url)
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise StreamError(f"{url}: is not JSON: {problem}") from problem


def verified(signed: bytes, keyring: Path, what: str) -> bytes:
    """The signed part of a clear-signed document; StreamError when no key of ours signed it."""
    if shutil.which("gpgv") is None:
        raise StreamError("gpgv, which checks signatures, is missing: apt-get install gpgv")
    if not keyring.is_file():
        raise StreamError(
            f"keyring {keyring} is missing: apt-get install ubuntu-keyring, or give --keyring FILE"
        )
    with tempfile.TemporaryDirectory(prefix="muster-stream-") as folder:
        text, out = Path(folder, "signed"), Path(folder, "text")
        text.write_bytes(signed)
        # gpgv takes a name without a slash for one of its own folder.
        words = ["gpgv", "--quiet", "--keyring", str(keyring.resolve()), "--output", str(out)]
        done = subprocess.run(
            [*words, str(text)], capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode != 0 or not out.is_file():
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise StreamError(f"{what}: the signature is not good by {keyring}: {said}")
        return out.read_bytes()


def _objects(document: Any, key: str, where: str) -> list[tuple[str, dict[str, Any]]]:
    found = document.get(key) if isinstance(document, dict) else None
    if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
        raise StreamError(f"{where}: {key} is not an object of objects")
    return list(found.items())


def _path(entry: dict[str, Any], where: str) -> str:
    path = entry.get("path")
    if not isinstance(path, str) or not path or path.startswith("/") or ".." in path.split("/"):
        raise StreamError(f"{where}: path {path!r} is not one below the stream")
    if urljoin("http://stream.invalid/", path).partition("invalid/")[0] != "http://stream.":
        raise StreamError(f"{where}: path {path!r} leads to another server")
    return path


def _word(text: object, where: str) -> str:
    if not isinstance(text, str) or not _WORD.fullmatch(text):
        raise StreamError(f"{where}: {text!r} is not a name")
    return text
