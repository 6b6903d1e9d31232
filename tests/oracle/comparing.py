"""Where two resources documents differ, with lists paired by what their items are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


@dataclass(frozen=True)
class Difference:
    """`path` is exact ("cpu.sockets[1].name"), `where` names the field ("cpu.sockets[].name")."""

    path: str
    where: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        return f"{self.path}: ours {_short(self.ours)}, LXD's {_short(self.theirs)}"


def thread_ids(core: dict[str, Any]) -> list[int]:
    """The threads of a core, which no other core has."""
    return sorted(thread["id"] for thread in core["threads"] or [])


# What an item of each list is, whatever its place: two documents may sort differently.
_IDENTITIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "sockets": lambda item: item["socket"],
    "cores": lambda item: min(thread_ids(item), default=-1),
    "threads": lambda item: item["id"],
    "nodes": lambda item: item["numa_node"],
    "cards": lambda item: (item.get("pci_address", ""), item.get("usb_address", "")),
    "ports": lambda item: item["id"],
    "disks": lambda item: item.get("id") or item.get("name"),
    "partitions": lambda item: item["id"],
    "devices": lambda item: (
        item.get("pci_address") or f"{item.get('bus_address')}:{item.get('device_address')}"
    ),
}


def differences(ours: Any, theirs: Any, path: str, where: str = "") -> Iterator[Difference]:
    """Every leaf in which the two are not equal; a key that only one has is ABSENT in the other."""
    where = where or path
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            pair = ours.get(key, ABSENT), theirs.get(key, ABSENT)
            yield from differences(*pair, f"{path}.{key}", f"{where}.{key}")
    elif _are_lists_of_items(ours, theirs, where):
        yield from _in_lists(ours, theirs, path, where)
    elif ours != theirs:
        yield Difference(path, where, ours, theirs)


def _are_lists_of_items(ours: Any, theirs: Any, where: str) -> bool:
    name = where.rpartition(".")[2]
    if not (isinstance(ours, list) and isinstance(theirs, list) and name in _IDENTITIES):
        return False
    # Cores are paired only if both see the same ones; else their threads would be told as wrong.
    return name != "cores" or sorted(map(thread_ids, ours)) == sorted(map(thread_ids, theirs))


def _in_lists(ours: Any, theirs: Any, path: str, where: str) -> Iterator[Difference]:
    identify = _IDENTITIES[where.rpartition(".")[2]]
    left = {identify(item): item for item in ours}
    right = {identify(item): item for item in theirs}
    assert len(left) == len(ours), f"{path}: two items of ours are the same"
    assert len(right) == len(theirs), f"{path}: two items of LXD's are the same"
    for identity in left.keys() | right.keys():
        pair = left.get(identity, ABSENT), right.get(identity, ABSENT)
        yield from differences(*pair, f"{path}[{identity}]", f"{where}[]")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 200 else text[:200] + "..."
