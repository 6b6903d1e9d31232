# SPDX-License-Identifier: Apache-2.0
"""The manifest of expected machines: in and out, and held against the records."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from litestar import Response, delete, get, post
from litestar.params import Parameter, QueryParameter

from muster.api.access import role
from muster.api.machines import PATH, Reference
from muster.lifecycle import manifest as verbs
from muster.lifecycle import placement
from muster.lifecycle.manifest import Given, Taken
from muster.machine import manifestfile
from muster.machine.cabling import Cabled
from muster.machine.manifest import Cable, Row
from muster.machine.placing import Finding
from muster.store import machines, manifest
from muster.store.engine import Store
from muster.store.people import User
from muster.wire.codec import Limited, limited

BODY_LIMIT = 16 * 1024 * 1024
"""Bytes: 50,000 rows have 10 MiB."""

Key = Annotated[str, Parameter(max_length=256, description="A row: its name, or what it has.")]
Rack = Annotated[str, Parameter(max_length=256, description="Only this rack.")]
After = Annotated[str, Parameter(max_length=256, description="`next` of the page before.")]
Limit = Annotated[int, Parameter(ge=1, le=1000)]
Form = Literal["csv", "json"]


@dataclass(frozen=True)
class RowShown:
    """One expected machine; `position` is its lowest unit, docs/manifest.md has the rest."""

    key: str
    name: str
    serial: str
    uuid: str
    macs: list[str]
    bmc: str
    bmc_mac: str
    product: str
    rack: str
    position: int | None
    height: int
    cables: list[Cable]
    profile: str
    pool: str
    tags: list[str]
    comment: str


@dataclass(frozen=True)
class Rows:
    """A page of rows by rack, place and key; `next` leads on and is empty at the end."""

    items: list[RowShown]
    next: str


@dataclass(frozen=True)
class Checked:
    """A row beside its record. `status`: matching, mismatching or missing; `because` says by what

    the record was found. `unknown` is what could not be looked at.
    """

    row: RowShown
    status: str
    machine_id: str
    machine_name: str
    because: str
    mismatches: list[str]
    unknown: list[str]
    cables: list[Cabled]


@dataclass(frozen=True)
class Checks:
    """A page of checked rows, as `Rows`."""

    items: list[Checked]
    next: str


@dataclass(frozen=True)
class Stranger:
    """A record that is no row's; `neighbours` is what it is cabled to."""

    machine_id: str
    machine_name: str
    sentence: str
    neighbours: list[Cable]


@dataclass(frozen=True)
class Strangers:
    """A page of them by id."""

    items: list[Stranger]
    next: str


@dataclass(frozen=True)
class RackShown:
    """How a rack stands; profiles are not looked at here."""

    rack: str
    rows: int
    missing: int
    mismatching: int


@dataclass(frozen=True)
class Importing(Limited):
    """`text` is the file; `format` csv or json, "" by its first character.

    `dry_run` stores nothing, `replace` removes rows that the file has not, `partly` takes the good
    rows of a file with bad ones.
    """

    text: str = limited(most=BODY_LIMIT)
    format: Literal["csv", "json", ""] = ""
    dry_run: bool = False
    replace: bool = False
    partly: bool = False


@dataclass(frozen=True)
class Applying(Limited):
    """Rows by key."""

    keys: list[str] = limited(most=1000)

    def __post_init__(self) -> None:
        """Texts that every database keeps."""
        super().__post_init__()
        for key in self.keys:
            if len(key) > 256 or not key.isprintable():
                raise ValueError(f"keys: {key[:80]!r} is no row of the manifest")


@post(
    "/manifest/import", status_code=200, sync_to_thread=True, dependencies=role("operator"),
    request_max_body_size=BODY_LIMIT,
)  # fmt: skip
def import_manifest(data: Importing, store: Store, user: User, now: datetime) -> Taken:
    """Take in a file; nothing of a machine's record is changed."""
    return verbs.take(store, data.text, data.format, dry_run=data.dry_run, replacing=data.replace,
                      partly=data.partly, actor=user.name, now=now)  # fmt: skip


@post("/manifest/apply", status_code=200, sync_to_thread=True, dependencies=role("operator"))
def apply_manifest(data: Applying, store: Store, user: User, now: datetime) -> list[Given]:
    """Give machines the name, pool and tags of their rows; each has its own outcome."""
    return verbs.apply(store, data.keys, actor=user.name, now=now)


@get("/manifest/export", sync_to_thread=True, media_type="text/plain")
def export_manifest(
    store: Store, user: User, form: Annotated[Form, QueryParameter(name="format")] = "csv"
) -> Response[str]:
    """The manifest as a file that import takes."""
    with store.read() as tx:
        rows = manifest.every(tx)
    if form == "json":
        return Response(manifestfile.write_json(rows), media_type="application/json")
    return Response(manifestfile.write_csv(rows), media_type="text/csv; charset=utf-8")


@get("/manifest", sync_to_thread=True)
def list_manifest(
    store: Store, user: User, rack: Rack = "", after: After = "", limit: Limit = 100
) -> Rows:
    """Its rows."""
    with store.read() as tx:
        some, following = _page(manifest.every(tx, rack or None), after, limit)
    return Rows([_shown(row) for row in some], following)


@get("/manifest/rows/{key:str}", sync_to_thread=True)
def show_row(key: Key, store: Store, user: User) -> RowShown:
    """One row."""
    with store.read() as tx:
        return _shown(manifest.find(tx, key).row)


@delete("/manifest/rows/{key:str}", sync_to_thread=True, dependencies=role("operator"))
def remove_row(key: Key, store: Store, user: User, now: datetime) -> None:
    """Take a row away; what its machine was given stays."""
    verbs.remove(store, key, actor=user.name, now=now)


@get("/manifest/check", sync_to_thread=True)
def check_manifest(
    store: Store, user: User, rack: Rack = "", after: After = "", limit: Limit = 100
) -> Checks:
    """Rows beside records: what is missing, and what does not agree."""
    with store.read() as tx:
        some, following = _page(manifest.every(tx, rack or None), after, limit)
        of = placement.around(tx, some)
        return Checks([_checked(placement.finding(tx, of, row)) for row in some], following)


@get("/manifest/unexpected", sync_to_thread=True)
def unexpected_machines(
    store: Store, user: User, after: After = "", limit: Limit = 100
) -> Strangers:
    """Records that are in no row."""
    with store.read() as tx:
        found, following = placement.strangers(tx, after, limit)
    items = [
        Stranger(one.id, one.name, sentence,
                 [Cable(n.nic, n.switch, n.port) for n in one.wired.neighbours])
        for one, sentence in found
    ]  # fmt: skip
    return Strangers(items, following)


@get("/manifest/racks", sync_to_thread=True)
def list_racks(store: Store, user: User) -> list[RackShown]:
    """Every rack of the manifest."""
    with store.read() as tx:
        whole = placement.whole(tx)
    found: dict[str, list[str]] = {}
    for row in whole.rows:
        if row.rack:
            found.setdefault(row.rack, []).append(whole.finding(row).status)
    return [
        RackShown(rack, len(told), told.count("missing"), told.count("mismatching"))
        for rack, told in found.items()
    ]


@get(PATH + "/expected", sync_to_thread=True)
def machine_expected(reference: Reference, store: Store, user: User) -> Checked:
    """The row of the manifest that a machine is, with what does not agree."""
    with store.read() as tx:
        return _checked(placement.row_of(tx, machines.find(tx, reference)))


def _page(rows: list[Row], after: str, limit: int) -> tuple[list[Row], str]:
    """In the order of `every`; a row that has gone meanwhile leads to the beginning."""
    keys = [row.key for row in rows]
    start = keys.index(after) + 1 if after in keys else 0
    some = rows[start : start + limit]
    return some, some[-1].key if len(rows) > start + limit else ""


def _shown(row: Row) -> RowShown:
    said = row.plain()
    lists = {"macs": list(row.macs), "tags": list(row.tags), "cables": list(row.cables)}
    return RowShown(**(said | lists))


def _checked(found: Finding) -> Checked:
    machine = found.machine
    return Checked(
        row=_shown(found.row),
        status=found.status,
        machine_id=machine.id if machine else "",
        machine_name=machine.name if machine else "",
        because=found.because,
        mismatches=list(found.mismatches),
        unknown=list(found.unknown),
        cables=list(found.cables),
    )


ROUTES = [
    import_manifest,
    apply_manifest,
    export_manifest,
    list_manifest,
    show_row,
    remove_row,
    check_manifest,
    unexpected_machines,
    list_racks,
    machine_expected,
]
