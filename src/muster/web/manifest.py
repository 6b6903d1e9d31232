# SPDX-License-Identifier: Apache-2.0
"""The manifest of expected machines: taken in after a look, held against records, given to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.exceptions import ClientException
from litestar.params import Body, Parameter
from litestar.response import Redirect

from muster.lifecycle import manifest as verbs
from muster.lifecycle import placement
from muster.lifecycle.manifest import Taken
from muster.machine import manifestfile
from muster.machine.manifest import BadManifest, BadRow, Row
from muster.store import machines, manifest, sharing
from muster.store.engine import Missing, Store
from muster.web.page import page
from muster.web.session import AnyRequest, Looking, check_form
from muster.web.topology import place, should

Form = Annotated[dict[str, Any], Body(media_type=RequestEncodingType.URL_ENCODED)]
Sent = Annotated[dict[str, Any], Body(media_type=RequestEncodingType.MULTI_PART)]
PAGE = 100
LIMIT = 16 * 1024 * 1024
"""Bytes of a form: 50,000 rows have 10 MiB."""
MOST = 1000
"""Rows of one action."""
NOTHING = "nothing was taken in: mend these rows, or take the good ones alone"
STATUSES = ("missing", "mismatching", "matching")


@dataclass(frozen=True)
class Looked:
    """What an import would do, or has done; `wrong` when the whole file cannot be taken."""

    text: str = ""
    replacing: bool = False
    partly: bool = False
    taken: Taken | None = None
    wrong: str = ""
    problems: list[BadRow] = field(default_factory=list)


@get("/topology/manifest", sync_to_thread=True)
def show(
    request: AnyRequest,
    store: Store,
    looking: Looking,
    rack: Annotated[str, Parameter(max_length=256)] = "",
    status: Annotated[str, Parameter(max_length=16)] = "",
    after: Annotated[str, Parameter(max_length=256)] = "",
) -> Response[Any]:
    """Its rows beside the records, and the form that takes a table in."""
    return _shown(request, store, looking, Looked(), rack=rack, status=status, after=after)


def _shown(
    request: AnyRequest, store: Store, looking: Looking, looked: Looked, *, rack: str = "",
    status: str = "", after: str = "", code: int = 200,
) -> Response[Any]:  # fmt: skip
    with store.read() as tx:
        racks = manifest.racks(tx)
        if status:
            # Which rows are so can be told of all of them only.
            of = placement.whole(tx)
            here = [row for row in of.rows if rack in ("", row.rack)]
            rows, following = _page([r for r in here if of.finding(r).status == status], after)
        else:
            rows, following = _page(manifest.every(tx, rack or None), after)
            of = placement.around(tx, rows)
        found = [placement.finding(tx, of, row) for row in rows]
    return page(
        request, "manifest.html", looking, status=code, found=found, statuses=STATUSES,
        racks=[one for one in racks if one], some=bool(racks), rack=rack, wanted=status,
        following=following, looked=looked, place=place,
    )  # fmt: skip


@get("/topology/manifest/counts", sync_to_thread=True)
def counts(
    request: AnyRequest, store: Store, looking: Looking,
    rack: Annotated[str, Parameter(max_length=256)] = "",
) -> Response[Any]:  # fmt: skip
    """How many rows are missing, mismatching and matching, for the page of rows."""
    with store.read() as tx:
        of = placement.whole(tx)
    said = [of.finding(row).status for row in of.rows if rack in ("", row.rack)]
    told = {status: said.count(status) for status in STATUSES}
    return page(request, "manifest_counts.html", looking, counts=told, rack=rack)


def _page(rows: Sequence[Row], after: str) -> tuple[Sequence[Row], str]:
    keys = [row.key for row in rows]
    start = keys.index(after) + 1 if after in keys else 0
    some = rows[start : start + PAGE]
    return some, some[-1].key if len(rows) > start + PAGE else ""


@post(
    "/topology/manifest", status_code=200, sync_to_thread=True, request_max_body_size=LIMIT
)  # fmt: skip
def take(
    data: Sent, request: AnyRequest, store: Store, looking: Looking, now: datetime
) -> Response[Any]:
    """Say what a table would change, or take it in: `do` is look or import."""
    check_form(request, looking, data)
    looking.need("operator")
    text, wrong = _sent(data)
    if "\0" in text:
        text, wrong = "", "the table holds the character U+0000: save it as CSV UTF-8"
    looked = Looked(text, data.get("replace") == "yes", data.get("partly") == "yes", wrong=wrong)
    if not wrong:
        try:
            taken = verbs.take(
                store, text, "", dry_run=data.get("do") != "import", replacing=looked.replacing,
                partly=looked.partly, actor=looking.user.name, now=now,
            )  # fmt: skip
            looked = replace(looked, taken=taken, problems=taken.problems)
        except BadManifest as error:
            looked = replace(looked, wrong=NOTHING, problems=error.problems)
    return _shown(request, store, looking, looked, code=400 if looked.wrong else 200)


def _sent(form: dict[str, Any]) -> tuple[str, str]:
    """The table, from the file where one is chosen; and why it cannot be read."""
    file = form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        return str(form.get("text", "")), ""
    raw = file.file.read()
    # Excel writes UTF-8 with a mark, or UTF-16.
    wide = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return raw.decode("utf-16" if wide else "utf-8-sig"), ""
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return "", f"{file.filename}: line {line}: is no UTF-8: save the table as CSV UTF-8"


@post("/topology/manifest/rows", status_code=200, sync_to_thread=True)
def act(
    data: Form, request: AnyRequest, store: Store, looking: Looking, now: datetime
) -> Response[Any]:
    """Give machines what their rows say, or take rows away; asked again with their names."""
    check_form(request, looking, data)
    looking.need("operator")
    do, keys = str(data.get("do", "")), _keys(data)
    if do not in ("apply", "remove"):
        raise ClientException("do: apply or remove")
    if data.get("sure") != "yes":
        with store.read() as tx:
            rows = [kept.row for kept in sharing.of_keys(tx, keys)]
            of = placement.around(tx, rows)
        chosen = [of.finding(row) for row in rows]
        return page(request, "manifest_confirm.html", looking, do=do, chosen=chosen, place=place)
    if do == "remove":
        for key in keys:
            verbs.remove(store, key, actor=looking.user.name, now=now)
        return Redirect("/topology/manifest", status_code=303)
    given = verbs.apply(store, keys, actor=looking.user.name, now=now)
    return page(request, "manifest_given.html", looking, given=given)


def _keys(form: dict[str, Any]) -> list[str]:
    given = form.get("key", [])
    keys = [str(one)[:256] for one in (given if isinstance(given, list) else [given])]
    if not keys or len(keys) > MOST:
        raise ClientException(f"{len(keys)} rows were marked: mark from 1 to {MOST} in the table")
    return keys


@get("/topology/manifest/export.csv", sync_to_thread=True)
def export(store: Store, looking: Looking) -> Response[str]:
    """The manifest as a file that can be taken in again."""
    with store.read() as tx:
        text = manifestfile.write_csv(manifest.every(tx))
    headers = {"Content-Disposition": 'attachment; filename="manifest.csv"',
               "X-Content-Type-Options": "nosniff"}  # fmt: skip
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


@get("/machines/{reference:str}/expected", sync_to_thread=True)
def expected(
    reference: Annotated[str, Parameter(max_length=63)], request: AnyRequest, store: Store,
    looking: Looking,
) -> Response[Any]:  # fmt: skip
    """The row that a machine is, for its page."""
    with store.read() as tx:
        machine = machines.find(tx, reference)
        try:
            found = placement.row_of(tx, machine)
        except Missing:
            found = None
    return page(request, "machine_expected.html", looking, found=found, machine=machine,
                place=place, should=should)  # fmt: skip


ROUTES = [show, counts, take, act, export, expected]
