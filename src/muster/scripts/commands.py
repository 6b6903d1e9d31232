# SPDX-License-Identifier: Apache-2.0
"""muster script ...: check scripts here, keep them on the server, compare their versions."""

import base64
import difflib
import json
import sys
import urllib.parse
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from muster.cli.client import ApiError, Client, fail
from muster.cli.words import clean, plain
from muster.scripts import format as script_format


def lint(*files: Path) -> int:
    """Say everything that is wrong with scripts, with its line; needs no server.

    Parameters
    ----------
    files
        Scripts with or without metadata
    """
    bad = 0
    for file in files:
        found = script_format.problems(_read(file), name=file.name)
        for problem in found:
            print(plain(f"{file}:{problem.line}: {problem.field}: {problem.reason}"))
        bad += bool(found)
        if not found:
            script = script_format.parse(_read(file), name=file.name)
            for warning in _warnings(script):
                print(plain(f"{file}: note: {warning}"))
            print(plain(f"{file}: {script.script_type} script {script.name}: good"))
    return 1 if bad else 0


def _warnings(script: script_format.Script) -> list[str]:
    """What is right and still may not do what was meant."""
    told = []
    if "snap" in script.packages:
        told.append("needs snapd, which muster's own image has not")
    if "apt" in script.packages or "url" in script.packages:
        told.append("packages that the image has not are fetched when it runs")
    if script.apply_configured_networking:
        told.append("muster configures no networks: it runs with the one that the machine has")
    if not script.timeout:
        told.append("has no timeout: only an abort or a silent agent ends it")
    return told


def add(file: Path, /, *, comment: str = "") -> None:
    """Add a script, or its next version.

    Parameters
    ----------
    file
        The script; its name serves where its metadata has none
    comment
        What is new
    """
    body = {"source": base64.b64encode(_read(file)).decode(), "name": file.name}
    kept = _ask("POST", "/scripts", body | {"comment": comment})["script"]
    print(plain(f"{kept['name']}: version {kept['version']} ({kept['sha256'][:12]})"))


def list_(*, tag: str = "", output: Literal["table", "json"] = "table") -> None:
    """List scripts, built-in ones among them.

    Parameters
    ----------
    tag
        Only those with this tag
    output
        table, or json for programs
    """
    found = _get("/scripts", tag=tag)
    if output == "json":
        print(json.dumps(found, indent=2))
        return
    table = Table("name", "type", "hardware", "parallel", "limit", "tags", "version", "title")
    for script in found:
        version = str(script["version"]) if script["version"] else "built in"
        limit = f"{script['timeout_s']} s" if script["timeout_s"] else "none"
        table.add_row(
            *map(clean, (script["name"], script["script_type"], script["hardware_type"],
                         script["parallel"], limit, ", ".join(script["tags"]))),
            version if script["enabled"] else f"{version}, disabled",
            clean(script["title"]),
        )  # fmt: skip
    Console().print(table)


def show(name: str, /, *, source: bool = False, version: int = 0) -> None:
    """One script: its metadata and versions, or its bytes.

    Parameters
    ----------
    name
        Its name
    source
        Print its bytes instead
    version
        Of this version; 0 is the newest
    """
    if source or version:
        sys.stdout.buffer.write(_source(name, version))
        return
    found = _get(_path(name))
    for key, value in found["script"].items():
        told = value if isinstance(value, str) else json.dumps(value)
        print(plain(f"{key:<14} {told}"))
    for kept in found["versions"]:
        who = f"{kept['created_at'][:19]} {kept['created_by']} {kept['comment']}"
        print(plain(f"version {kept['number']:<6} {kept['sha256'][:12]} {who}"))


def diff(name: str, /, old: int = 0, new: int = 0) -> int:
    """What changed between two versions; the last two when none is named.

    Parameters
    ----------
    name
        Its name
    old
        Number of the older version
    new
        Number of the newer version
    """
    numbers = [version["number"] for version in _get(_path(name))["versions"]]
    if len(numbers) < 2 and not old:
        fail(f"{name} has {len(numbers)} version(s): nothing to compare")
    old, new = old or numbers[-2], new or numbers[-1]
    before, after = (
        _source(name, number).decode(errors="replace").splitlines() for number in (old, new)
    )
    headings = (f"{name} {old}", f"{name} {new}")
    changes = list(difflib.unified_diff(before, after, *headings, lineterm=""))
    for line in changes:
        print(plain(line))
    return 1 if changes else 0


def compare(
    name: str, /, *, beyond: float = 20.0, output: Literal["table", "json"] = "table"
) -> int:
    """What a test measured on each machine, beside others of its model.

    Exit status 1 when one of them is the odd one out.

    Parameters
    ----------
    name
        The test
    beyond
        Per cent from the group's median from which on a number is marked with !
    output
        table, or json for programs
    """
    groups = _get(f"{_path(name)}/comparison")
    if output == "json":
        print(json.dumps(groups, indent=2))
    elif not groups:
        print(plain(f"no result of {name} has a number yet"))
    odd = [off for g in groups for s in g["samples"] for off in s["off"].values()]
    if output == "table":
        for group in groups:
            _show_group(group, beyond)
    return 1 if any(abs(off) > beyond for off in odd) else 0


def _show_group(group: dict[str, Any], beyond: float) -> None:
    of = ", ".join(filter(None, (group["vendor"], group["product"], group["model"])))
    numbers = group["numbers"]
    table = Table("machine", "device", "state", title=clean(of), title_justify="left", box=None)
    for number in numbers:
        table.add_column(clean(" ".join((number["name"], number["unit"])).strip()), justify="right")
    for sample in group["samples"]:
        cells = [_cell(sample, number["name"], beyond) for number in numbers]
        table.add_row(*map(clean, (sample["name"], sample["device"], sample["state"], *cells)))
    table.add_row("median", "", "", *(f"{number['median']:g}" for number in numbers))
    Console().print(table)


def _cell(sample: dict[str, Any], name: str, beyond: float) -> str:
    if name not in sample["values"]:
        return "-"
    off = sample["off"][name]
    return f"{sample['values'][name]:g}" + (f" {off:+g} % !" if abs(off) > beyond else "")


def change(
    name: str,
    /,
    *,
    enable: bool | None = None,
    tags: str | None = None,
    timeout: int | None = None,
    threshold: list[str] | None = None,
) -> None:
    """Change how a script is used from the next run on.

    Parameters
    ----------
    name
        Its name
    enable
        --enable or --no-enable
    tags
        All of its tags, with commas
    timeout
        Seconds; 0 for none
    threshold
        RESULT>=NUMBER or RESULT<=NUMBER; these replace all thresholds it has
    """
    body: dict[str, Any] = {"enabled": enable, "timeout_s": timeout}
    if tags is not None:
        body["tags"] = [tag.strip() for tag in tags.split(",") if tag.strip()]
    if threshold is not None:
        body["thresholds"] = _thresholds(threshold)
    _ask("PATCH", _path(name), {key: value for key, value in body.items() if value is not None})
    print(plain(f"{name}: changed"))


def _thresholds(words: list[str]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for word in words:
        sign = ">=" if ">=" in word else "<="
        result, _, number = word.partition(sign)
        try:
            limit = float(number)
        except ValueError:
            fail(f"{word!r}: write RESULT>=NUMBER or RESULT<=NUMBER")
        found.setdefault(result.strip(), {})["min" if sign == ">=" else "max"] = limit
    return found


def remove(name: str, /) -> None:
    """Forget a script of yours, or what you changed about a built-in one.

    Parameters
    ----------
    name
        Its name
    """
    _ask("DELETE", _path(name), None)
    print(plain(f"{name}: removed; runs of the past keep theirs"))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        fail(f"{file}: {error.strerror}")


def _path(name: str) -> str:
    return f"/scripts/{urllib.parse.quote(name, safe='')}"


def _source(name: str, version: int) -> bytes:
    try:
        return Client().raw("GET", f"{_path(name)}/source", version=version)[0]
    except ApiError as error:
        fail(str(error))


def _get(path: str, **query: Any) -> Any:
    try:
        return Client().get(path, **query)
    except ApiError as error:
        fail(str(error))


def _ask(method: str, path: str, body: object) -> Any:
    try:
        return Client().send(method, path, body)
    except ApiError as error:
        fail(str(error))
