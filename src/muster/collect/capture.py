# SPDX-License-Identifier: Apache-2.0
"""A machine as an archive: every file, folder and link that our probes looked at, and no other.

The survey itself is watched, so the archive holds what a replay needs, whatever the probes become.
archive.py reads it back, redact.py takes out what names the machine.
"""

import io
import json
import os
import stat
import tarfile

from muster.collect.document import document
from muster.collect.redact import Redaction, small_pci_ids, without_addresses
from muster.wire.shape import dataclass, field

FORMAT = "muster.capture/1"
NOTE = "capture.json"
"""The member that says what the archive is."""
FILE_LIMIT = 16 * 1024 * 1024
TOTAL_LIMIT = 128 * 1024 * 1024
_CHUNK = 65536
_LINKS_LIMIT = 40  # As many as the kernel follows before it says ELOOP.
_PCI_IDS = "usr/share/misc/pci.ids"


class _Witness:
    """A root for the probes that notes each path, and whether its names were listed."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.seen: dict[str, bool] = {}

    def __fspath__(self) -> str:
        return self._root

    def watch(self, path: str, *, listed: bool) -> None:
        self.seen[path] = listed or self.seen.get(path, False)


@dataclass
class Tree:
    """What was found, by path without the first "/"; a folder's content is None."""

    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    # Listed, and opened by nobody: in the archive as empty files.
    names: set[str] = field(default_factory=set)
    unread: dict[str, str] = field(default_factory=dict)
    size: int = 0


def capture(root: str, *, redact: bool) -> bytes:
    """Survey the machine under `root`; returns a tar.gz of at most 128 MiB before compression."""
    witness = _Witness(root)
    told = document(witness)
    base = os.path.realpath(root)
    tree = Tree()
    for path in sorted(witness.seen):
        _take(tree, base, path, listed=witness.seen[path])
    _add_identity(tree, told)
    if _PCI_IDS in tree.files:
        tree.files[_PCI_IDS] = small_pci_ids(tree.files, tree.files[_PCI_IDS])
    if not redact:
        return _pack(_with_note(tree, told, redacted=False))
    shown = without_addresses(told)
    assert isinstance(shown, dict)
    shown["environment"] = {**shown["environment"], "server_name": ""}
    _drop_certificate(shown)
    noted = _with_note(tree, shown, redacted=True)
    return _pack(_redacted(noted, Redaction(noted.files, told, os.urandom(32))))


def _drop_certificate(document: dict[str, object]) -> None:
    """That of the TPM names the machine, and an invented one would be no certificate."""
    extra = document["extra"]
    assert isinstance(extra, dict)
    extra["tpm"].pop("ek_certificate", None)


def _with_note(tree: Tree, told: dict[str, object], *, redacted: bool) -> Tree:
    note = {
        "format": FORMAT,
        "complete": os.geteuid() == 0,
        "redacted": redacted,
        "unread": tree.unread,
        # Drivers and netlink answer only a live machine: their part of the document is here alone.
        "document": told,
    }
    tree.files[NOTE] = json.dumps(note, indent=1).encode()
    return tree


def _add_identity(tree: Tree, told: dict[str, object]) -> None:
    """What a live survey asks the kernel by system call; older kernels have no file `arch`."""
    environment = told["environment"]
    assert isinstance(environment, dict)
    for name, key in (("arch", "kernel_architecture"), ("hostname", "server_name")):
        tree.files[f"proc/sys/kernel/{name}"] = f"{environment[key]}\n".encode()


def _take(tree: Tree, base: str, path: str, *, listed: bool) -> None:
    """Note `path` and every link on the way to it."""
    real = _follow(tree, base, path)
    if real is None or real in tree.files:
        return
    place = f"{base}/{real}"
    try:
        mode = os.stat(place).st_mode
        if stat.S_ISREG(mode):
            _read(tree, place, real)
        elif stat.S_ISDIR(mode):
            _add_folder(tree, real)
            if listed:
                _list(tree, place, real)
        else:
            # A device node: that it is there is all that the probes ask.
            tree.files[real] = b""
    except OSError as error:
        tree.unread[real] = error.strerror or str(error)


def _follow(tree: Tree, base: str, path: str) -> str | None:
    """Resolve `path` inside `base`, link by link; None if it leads nowhere or out of it."""
    ahead = [part for part in path.split("/") if part]
    real: list[str] = []
    links = 0
    while ahead:
        part = ahead.pop(0)
        if part == "..":
            if not real:
                return None
            real.pop()
            continue
        target = _link(f"{base}/{'/'.join([*real, part])}")
        if target is None:
            real.append(part)
            continue
        links += 1
        if links > _LINKS_LIMIT:
            return None
        _add_link(tree, "/".join([*real, part]), target)
        real = [] if target.startswith("/") else real
        ahead = [word for word in target.split("/") if word not in ("", ".")] + ahead
    return "/".join(real) if os.path.lexists(f"{base}/{'/'.join(real)}") else None


def _add_link(tree: Tree, path: str, target: str) -> None:
    """Relative, as the tree will lie elsewhere; one that leaves even this root is left out."""
    if target.startswith("/"):
        target = "../" * path.count("/") + target.lstrip("/")
    inside = os.path.normpath(f"/root/{os.path.dirname(path)}/{target}")
    if f"{inside}/".startswith("/root/"):
        tree.links[path] = target
    else:
        tree.unread[path] = "is a link out of the root"


def _link(place: str) -> str | None:
    try:
        return os.readlink(place)
    except OSError:
        return None


def _read(tree: Tree, place: str, real: str) -> None:
    handle = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    data = b""
    # In small parts: the kernel answers ENOMEM to 16 MiB at once from below /proc/sys.
    with open(handle, "rb", buffering=0) as file:
        while len(data) <= FILE_LIMIT and (chunk := file.read(_CHUNK)):
            data += chunk
    if len(data) > FILE_LIMIT or tree.size + len(data) > TOTAL_LIMIT:
        tree.unread[real] = "too large for the archive"
        return
    tree.size += len(data)
    tree.files[real] = data


def _add_folder(tree: Tree, real: str) -> None:
    if real:
        tree.folders.add(real)


def _list(tree: Tree, place: str, real: str) -> None:
    """The names matter even of what nobody opened: as empty files, folders, or links."""
    with os.scandir(place) as entries:
        for entry in entries:
            path = f"{real}/{entry.name}".lstrip("/")
            if entry.is_symlink():
                _add_link(tree, path, os.readlink(f"{place}/{entry.name}"))
            elif entry.is_dir():
                tree.folders.add(path)
            else:
                tree.names.add(path)


def _redacted(tree: Tree, redaction: Redaction) -> Tree:
    return Tree(
        files={redaction.text(path): redaction.data(path, tree.files[path]) for path in tree.files},
        links={redaction.text(path): redaction.text(to) for path, to in tree.links.items()},
        folders={redaction.text(path) for path in tree.folders},
        names={redaction.text(path) for path in tree.names},
    )


def _pack(tree: Tree) -> bytes:
    """One order and no times or owners: the same machine gives the same bytes."""
    out = io.BytesIO()
    files = dict.fromkeys(tree.names, b"") | tree.files
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted({*files, *tree.links, *tree.folders}):
            member = tarfile.TarInfo(path)
            if path in tree.links:
                member.type, member.linkname = tarfile.SYMTYPE, tree.links[path]
                tar.addfile(member)
            elif path in files:
                member.size = len(files[path])
                tar.addfile(member, io.BytesIO(files[path]))
            else:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(member)
    return out.getvalue()
