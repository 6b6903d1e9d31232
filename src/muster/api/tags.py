# SPDX-License-Identifier: Apache-2.0
"""Tags: what is said of them, who has them and from where; people's notes on machines."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from litestar import delete, get, post, put
from litestar.params import Parameter

from muster.api.access import role
from muster.api.machines import PATH, Reference
from muster.api.shapes import shown
from muster.lifecycle import notes as note_verbs
from muster.lifecycle import tags as verbs
from muster.lifecycle.tags import Outcome
from muster.machine.tagging import NAME
from muster.store import machines, notes, tags
from muster.store.engine import Missing, Store, Tx
from muster.store.notes import Note
from muster.store.people import User
from muster.store.tags import MachineTag
from muster.wire.codec import Limited, limited

Tag = Annotated[str, Parameter(max_length=64, pattern=NAME, description="A tag.")]
Number = Annotated[int, Parameter(ge=1, le=2**53)]
MANY = 1000


@dataclass(frozen=True)
class TagShown:
    """`kind` "" is by hand; `settled` is false while a changed definition is being tried."""

    name: str
    comment: str
    kind: str
    definition: str
    machines: int
    settled: bool
    updated_by: str
    updated_at: datetime | None


@dataclass(frozen=True)
class Saying(Limited):
    """`kind`: "" by hand; "expression" over the hardware or "xpath" over lshw in `definition`."""

    comment: str = limited(most=2000, default="")
    kind: str = limited(most=16, default="")
    definition: str = limited(most=2000, default="")


@dataclass(frozen=True)
class Tagging(Limited):
    """Machines by id or name: who gets the tag, and who loses it."""

    add: list[str] = limited(most=MANY, factory=list)
    remove: list[str] = limited(most=MANY, factory=list)

    def __post_init__(self) -> None:
        """Texts that every database keeps."""
        super().__post_init__()
        for name, references in (("add", self.add), ("remove", self.remove)):
            for reference in references:
                if len(reference) > 63 or not reference.isprintable():
                    raise ValueError(f"{name}: {reference[:80]!r} is no machine's id or name")


@dataclass(frozen=True)
class Writing(Limited):
    """A note's text."""

    text: str = limited(most=10_000)


@get("/tags", sync_to_thread=True)
def list_tags(store: Store, user: User) -> list[TagShown]:
    """Every tag that a machine has or of which something is said, by name."""
    with store.read() as tx:
        return _all(tx)


@get("/tags/{tag:str}", sync_to_thread=True)
def show_tag(tag: Tag, store: Store, user: User) -> TagShown:
    """One tag; its machines are GET /machines?filter=tag = NAME."""
    return _shown(store, tag)


@put("/tags/{tag:str}", sync_to_thread=True, dependencies=role("operator"))
def put_tag(tag: Tag, data: Saying, store: Store, user: User, now: datetime) -> TagShown:
    """Make a tag or say something else of it; a definition is tried on all machines from now on."""
    verbs.define(
        store, tag, comment=data.comment, kind=data.kind, definition=data.definition,
        actor=user.name, now=now,
    )  # fmt: skip
    return _shown(store, tag)


@delete("/tags/{tag:str}", sync_to_thread=True, dependencies=role("operator"))
def delete_tag(tag: Tag, store: Store, user: User, now: datetime) -> None:
    """The tag goes from every machine."""
    verbs.delete(store, tag, actor=user.name, now=now)


@post(
    "/tags/{tag:str}/machines", status_code=200, sync_to_thread=True, dependencies=role("operator")
)
def tag_machines(tag: Tag, data: Tagging, store: Store, user: User, now: datetime) -> list[Outcome]:
    """Give a tag to machines and take it from others, by hand; each has its own outcome."""
    return verbs.by_hand(store, tag, add=data.add, remove=data.remove, actor=user.name, now=now)


@get(PATH + "/tags", sync_to_thread=True)
def machine_tags(reference: Reference, store: Store, user: User) -> list[MachineTag]:
    """A machine's tags with where each comes from and why."""
    with store.read() as tx:
        return tags.of_machine(tx, machines.find(tx, reference).id)


@get(PATH + "/notes", sync_to_thread=True)
def machine_notes(
    reference: Reference,
    store: Store,
    user: User,
    limit: Annotated[int, Parameter(ge=1, le=1000)] = 100,
) -> list[Note]:
    """What people wrote about a machine, newest first."""
    with store.read() as tx:
        return notes.of_machine(tx, machines.find(tx, reference).id, limit=limit)


@post(PATH + "/notes", sync_to_thread=True, dependencies=role("operator"))
def add_note(reference: Reference, data: Writing, store: Store, user: User, now: datetime) -> Note:
    """Write a note on a machine."""
    return note_verbs.add(store, reference, data.text, actor=user.name, now=now)


@get("/notes/{note:int}", sync_to_thread=True)
def show_note(note: Number, store: Store, user: User) -> Note:
    """One note."""
    with store.read() as tx:
        return notes.find(tx, note)


@delete("/notes/{note:int}", sync_to_thread=True, dependencies=role("operator"))
def delete_note(note: Number, store: Store, user: User, now: datetime) -> None:
    """Take a note away."""
    note_verbs.delete(store, note, actor=user.name, now=now)


def _shown(store: Store, name: str) -> TagShown:
    with store.read() as tx:
        for one in _all(tx):
            if one.name == name:
                return one
    raise Missing(f"there is no tag {name!r}")


def _all(tx: Tx) -> list[TagShown]:
    counts = tags.counts(tx)
    told = {
        tag.name: shown(
            TagShown, tag, machines=counts.get(tag.name, 0), settled=tag.looked_to is None
        )
        for tag in tags.some(tx)
    }
    for name, count in counts.items():
        told.setdefault(name, TagShown(name, "", "", "", count, True, "", None))  # noqa: FBT003
    return [told[name] for name in sorted(told)]


ROUTES = [
    list_tags,
    show_tag,
    put_tag,
    delete_tag,
    tag_machines,
    machine_tags,
    machine_notes,
    add_note,
    show_note,
    delete_note,
]
