# SPDX-License-Identifier: Apache-2.0
"""The manifest of expected machines, from and to people's tables."""

import sys
import urllib.parse
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter

from muster.cli.client import ApiError, Client, fail
from muster.cli.forms import json_text, yaml_text
from muster.cli.words import plain

manifest = cyclopts.App(name="manifest", help="The machines that should come.")
Output = Annotated[Literal["text", "json"], Parameter(alias="-o")]
_PAGE = 1000
_PATIENCE = 120.0
"""Seconds: 50,000 rows are held against 100,000 records."""


@manifest.command(name="import")
def import_file(
    file: Path,
    /,
    *,
    form: Annotated[Literal["csv", "json", ""], Parameter(name="--format")] = "",
    dry_run: bool = False,
    replace: bool = False,
    partly: bool = False,
) -> int:
    """Take in a table; exit status 1 when a row is bad.

    Parameters
    ----------
    file
        CSV or JSON (docs/manifest.md); - reads standard input
    form
        csv or json; by default by its first character
    dry_run
        Only say what would change, and every bad row
    replace
        Remove the rows that the file has not
    partly
        Take the good rows of a file with bad ones
    """
    body = {"text": _text(file), "format": form, "dry_run": dry_run, "replace": replace,
            "partly": partly}  # fmt: skip
    try:
        found = Client(timeout=_PATIENCE).send("POST", "/manifest/import", body)
    except ApiError as error:
        for wrong in error.wrong:
            print(plain(f"{wrong['field']}: {wrong['why']}"), file=sys.stderr)
        fail(f"{file}: nothing was imported" if error.wrong else str(error))
    for problem in found["problems"]:
        told = f"line {problem['line']}: {problem['field']}: {problem['reason']}"
        print(plain(told), file=sys.stderr)
    for name in ("added", "removed"):
        for key in found[name]:
            print(plain(f"{name}: {key}"))
    for changed in found["changed"]:
        print(plain(f"changed: {changed['key']}: {changed['sentence']}"))
    if found["left_out"]:
        print(plain(f"columns that nobody knows: {', '.join(found['left_out'])}"), file=sys.stderr)
    numbers = [f"{len(found[name])} {name}" for name in ("added", "changed", "removed")]
    told = "" if found["stored"] else " (dry run: nothing was stored)"
    print(f"{', '.join(numbers)}, {found['unchanged']} unchanged{told}")
    return int(bool(found["problems"]))


def _text(file: Path) -> str:
    """Excel writes UTF-8 with a mark, or UTF-16."""
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        wide = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
        return raw.decode("utf-16" if wide else "utf-8-sig")
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        fail(f"{file}: line {line}: is no UTF-8: save the table as CSV UTF-8")


@manifest.command(name="show")
def show(key: str = "", /, *, rack: str = "", output: Output = "text") -> None:
    """One row with what is known of its machine, or all rows.

    Parameters
    ----------
    key
        A row: its name, or what it has instead; all by default
    rack
        Only this rack
    output
        text, or json for programs
    """
    if key:
        found = _ask("GET", _row(key))
        print(json_text(found) if output == "json" else yaml_text(found))
        return
    rows = _pages("list_manifest", rack=rack)
    if output == "json":
        print(json_text(rows))
        return
    for row in rows:
        known = [row["serial"], *row["macs"][:1], row["bmc"], row["profile"], row["pool"]]
        told = [_where(row), row["key"], *filter(None, known)]
        print(plain("  ".join(filter(None, told))))
    print(f"{len(rows)} machines are expected")


@manifest.command(name="check")
def check(*, rack: str = "", output: Output = "text") -> int:
    """What is missing, unexpected or mismatching; exit status 1 when anything is.

    Parameters
    ----------
    rack
        Only this rack; unexpected machines are not told then
    output
        text, or json for programs
    """
    items = _pages("check_manifest", rack=rack)
    strangers = [] if rack else _pages("unexpected_machines")
    wrong = [one for one in items if one["status"] != "matching"]
    if output == "json":
        print(json_text({"items": items, "unexpected": strangers}))
        return int(bool(wrong or strangers))
    for one in items:
        place = _where(one["row"])
        who = f"{one['row']['key']}{f' ({place})' if place else ''}"
        for sentence in (*one["mismatches"], *(f"not known: {text}" for text in one["unknown"])):
            print(plain(f"{who}: {sentence}"))
    for one in strangers:
        print(plain(f"{one['machine_name']}: {one['sentence']}"))
    counts = [f"{sum(i['status'] == word for i in items)} {word}"
              for word in ("matching", "mismatching", "missing")]  # fmt: skip
    told = f", {len(strangers)} unexpected" if not rack else ""
    print(f"of {len(items)} expected machines {', '.join(counts)}{told}")
    return int(bool(wrong or strangers))


@manifest.command(name="apply")
def apply(key: str, /, *more: str) -> int:
    """Give machines the name, pool and tags of their rows; exit status 1 where one could not be.

    Parameters
    ----------
    key
        A row
    more
        More rows
    """
    found = _ask("POST", "/manifest/apply", {"keys": [key, *more]})
    for one in found:
        told = f"{one['machine']} was given it" if one["done"] else one["why"]
        print(plain(f"{one['key']}: {told}"))
    return int(not all(one["done"] for one in found))


@manifest.command(name="export")
def export(*, output: Annotated[Literal["csv", "json"], Parameter(alias="-o")] = "csv") -> None:
    """Print the manifest as a file that import takes.

    Parameters
    ----------
    output
        csv or json
    """
    try:
        text = Client().raw("GET", "/manifest/export", format=output)[0].decode()
    except ApiError as error:
        fail(str(error))
    sys.stdout.write(text)


@manifest.command(name="remove")
def remove(key: str, /, *more: str) -> None:
    """Take rows away; what their machines were given stays.

    Parameters
    ----------
    key
        A row
    more
        More rows
    """
    for one in (key, *more):
        _ask("DELETE", _row(one))
        print(plain(f"{one} is not expected any more"))


def _where(row: dict[str, Any]) -> str:
    if not row["rack"] or row["position"] is None:
        return str(row["rack"])
    top = row["position"] + row["height"] - 1
    units = f"U{row['position']}" + (f"-{top}" if row["height"] > 1 else "")
    return f"{row['rack']} {units}"


def _row(key: str) -> str:
    return f"/manifest/rows/{urllib.parse.quote(key, safe='')}"


def _pages(operation: str, **asked: str) -> list[dict[str, Any]]:
    try:
        return list(Client(timeout=_PATIENCE).every(operation, limit=_PAGE, **asked))
    except ApiError as error:
        fail(str(error))


def _ask(method: str, path: str, body: object = None) -> Any:
    try:
        return Client().send(method, path, body)
    except ApiError as error:
        fail(str(error))
