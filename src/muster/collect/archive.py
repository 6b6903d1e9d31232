# SPDX-License-Identifier: Apache-2.0
"""Reads a captured machine, which may come from anybody: nothing leaves the folder, all is bounded.

Files are made before links, so nothing is ever written through one; a link that points out of the
tree is refused, and the probes' Reader would not follow it either.
"""

import gzip
import io
import os
import stat
import tarfile
import zlib
from pathlib import Path, PurePosixPath

ARCHIVE_LIMIT = 64 * 1024 * 1024
"""Bytes, as it comes."""
UNPACKED_LIMIT = 192 * 1024 * 1024
"""Bytes of the tar in it."""
MEMBERS_LIMIT = 200_000
_NAME_LIMIT = 1024
_DEPTH_LIMIT = 40


class BadArchive(ValueError):
    """Not a captured machine, or one that reaches for more than its folder; says why."""


class _Bounded(gzip.GzipFile):
    """What gzip unpacks, until it becomes too much."""

    def __init__(self, archive: bytes) -> None:
        super().__init__(fileobj=io.BytesIO(archive))
        self._left = UNPACKED_LIMIT

    def read(self, size: int | None = -1) -> bytes:
        wanted = -1 if size is None else size
        data = super().read(self._left + 1 if wanted < 0 else min(wanted, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise BadArchive(f"unpacks to more than {UNPACKED_LIMIT} bytes")
        return data


def unpack(archive: bytes, folder: Path) -> Path:
    """Make the machine's tree in the empty `folder`; returns its root. Raises BadArchive."""
    if len(archive) > ARCHIVE_LIMIT:
        raise BadArchive(f"has {len(archive)} bytes, the limit is {ARCHIVE_LIMIT}")
    links: dict[str, str] = {}
    made: set[str] = set()
    try:
        with _Bounded(archive) as raw, tarfile.open(fileobj=raw, mode="r|") as tar:
            for member in tar:
                _take(tar, member, folder, links, made)
    except (tarfile.TarError, EOFError, OSError, zlib.error, OverflowError) as error:
        raise BadArchive(f"is damaged or no tar.gz: {error}") from error
    for path, target in links.items():
        _link(folder, path, target, links)
    return folder


def _take(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    folder: Path,
    links: dict[str, str],
    made: set[str],
) -> None:
    path = _checked(member.name)
    if path in made:
        raise BadArchive(f"{path!r}: is there twice")
    made.add(path)
    if len(made) > MEMBERS_LIMIT:
        raise BadArchive(f"has more than {MEMBERS_LIMIT} members")
    if member.issym():
        links[path] = member.linkname
    elif member.isdir():
        _parent(folder, path + "/x")
    elif member.isreg() and not member.issparse():
        content = tar.extractfile(member)
        assert content is not None
        _write(_parent(folder, path), content.read())
    else:
        raise BadArchive(f"{path!r}: is neither file, folder nor symbolic link")


def _checked(name: str) -> str:
    """A plain relative path; nothing that a file system could read otherwise."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise BadArchive(f"{name[:80]!r}: must be a path inside the archive")
    if len(name) > _NAME_LIMIT or len(parts) > _DEPTH_LIMIT:
        raise BadArchive(f"{name[:80]!r}...: is longer than a path of a machine")
    return "/".join(parts)


def _parent(folder: Path, path: str) -> Path:
    """Where `path` belongs, its folders made; refuses a file in the place of a folder."""
    place = folder / path
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise BadArchive(f"{path!r}: is inside of what is a file") from error
    return place


def _write(place: Path, data: bytes) -> None:
    try:
        with open(place, "xb") as file:
            file.write(data)
    except (FileExistsError, IsADirectoryError) as error:
        raise BadArchive(f"{place.name!r}: is there twice") from error


def _link(folder: Path, path: str, target: str, links: dict[str, str]) -> None:
    if not target or "\0" in target or len(target) > _NAME_LIMIT:
        raise BadArchive(f"{path!r}: its target is no path")
    inside = os.path.normpath(os.path.join("/root", os.path.dirname(path), target))
    if target.startswith("/") or not (inside + "/").startswith("/root/"):
        raise BadArchive(f"{path!r}: points out of the archive")
    parts = path.split("/")
    if any("/".join(parts[:end]) in links for end in range(1, len(parts))):
        raise BadArchive(f"{path!r}: is inside of what is a link")
    place = _parent(folder, path)
    if os.path.lexists(place) and not stat.S_ISLNK(os.lstat(place).st_mode):
        raise BadArchive(f"{path!r}: is there twice")
    place.symlink_to(target)
