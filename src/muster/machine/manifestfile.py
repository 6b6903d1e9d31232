# SPDX-License-Identifier: Apache-2.0
"""The manifest as people keep it: CSV of any spreadsheet, or JSON; and back."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from muster.machine.manifest import FIELDS, ROWS, BadRow, Cable, Reading, Row, between, row_of

_CALLED = {
    "name": "hostname host machine machinename node nodename server",
    "serial": "serialnumber serialno sn servicetag systemserial chassisserial",
    "uuid": "systemuuid hardwareuuid smbiosuuid guid",
    "macs": "mac macaddress macaddresses bootmac pxemac nicmac nicmacs",
    "bmc": "bmcaddress bmcip bmcipaddress ipmi ipmiip ipmiaddress idrac idracip ilo iloip xcc xccip"
           " oob oobip oobaddress redfish poweraddress",
    "bmc_mac": "bmcmac bmcmacaddress ipmimac idracmac ilomac oobmac xccmac",
    "product": "model machinemodel producttype",
    "rack": "rackname rackid cabinet",
    "position": "u ru rackunit unit uposition rackposition startu",
    "height": "uheight sizeu heightu units rackunits",
    "cables": "cable cabling links connections",
    "profile": "hardwareprofile",
    "pool": "resourcepool",
    "tags": "tag labels",
    "comment": "comments note notes remark remarks",
    "nic": "interface iface nicname",
    "switch": "switchname tor torswitch",
    "port": "switchport torport",
    "key": "",
}  # fmt: skip
_FIELD = {
    alias: name
    for name, aliases in _CALLED.items()
    for alias in (name.replace("_", ""), *aliases.split())
}
_NUMBERED = ("macs", "nic", "switch", "port")


def read(text: str, form: str = "") -> Reading:
    """All rows of a file; `form` csv or json, "" by its first character."""
    text = text.lstrip("\ufeff")
    form = form or ("json" if text.lstrip()[:1] in ("[", "{") else "csv")
    found = _json(text) if form == "json" else _csv(text)
    if not found.rows and not found.problems:
        # With replacing it would take all rows away.
        found.problems.append(BadRow(1, "file", "has no row"))
    bad = list(between(found.rows))
    lines = {problem.line for problem in bad}
    rows = [(line, row) for line, row in found.rows if line not in lines]
    problems = sorted([*found.problems, *bad], key=lambda p: (p.line, p.field))
    return Reading(rows, problems, found.left_out)


def _add(found: Reading, line: int, said: Mapping[str, Any]) -> None:
    row, problems = row_of(line, said)
    found.problems.extend(problems)
    if row:
        found.rows.append((line, row))


def _csv(text: str) -> Reading:
    found = Reading()
    said = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    first = next(said, "")
    mark = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=mark, strict=True)
    columns: list[tuple[str, str] | None] | None = None
    try:
        for cells in reader:
            line = reader.line_num
            if not any(cell.strip() for cell in cells) or cells[0].lstrip().startswith("#"):
                continue
            if columns is None:
                columns = _head(cells, line, found)
                if found.problems:
                    break
            elif len(cells) > len(columns) and any(c.strip() for c in cells[len(columns) :]):
                why = (
                    f"{len(cells)} cells, the head has {len(columns)}: quote what holds a {mark!r}"
                )
                found.problems.append(BadRow(line, "row", why))
            elif len(found.rows) >= ROWS:
                found.problems.append(BadRow(line, "row", f"more than {ROWS} rows"))
                break
            else:
                _line(found, line, columns, cells)
    except csv.Error as error:
        found.problems.append(BadRow(reader.line_num, "row", f"is no CSV: {error}"))
    if columns is None and not found.problems:
        found.problems.append(BadRow(1, "head", "the file is empty: its first line names columns"))
    return found


def _head(cells: list[str], line: int, found: Reading) -> list[tuple[str, str] | None]:
    """Field and number ("mac2" is macs, 2) of each column."""
    columns = []
    for cell in cells:
        word = re.sub(r"[^a-z0-9]", "", cell.lower())
        bare = re.sub(r"\d+", "", word)
        name = _FIELD.get(word) or (_FIELD.get(bare) if _FIELD.get(bare) in _NUMBERED else None)
        number = "".join(re.findall(r"\d+", word))
        if name is None and cell.strip():
            found.left_out.append(cell.strip()[:64])
        if name in FIELDS and name != "macs" and (name, "") in columns:
            why = f"two columns say the {name}: leave one out"
            found.problems.append(BadRow(line, cell.strip()[:64], why))
        columns.append((name, number if name in _NUMBERED else "") if name else None)
    if not any(columns):
        known = ", ".join(FIELDS)
        found.problems.append(BadRow(line, "head", f"names no column that is known: {known}"))
    return columns


def _line(
    found: Reading, line: int, columns: list[tuple[str, str] | None], cells: list[str]
) -> None:
    said: dict[str, Any] = {}
    cabled: dict[str, dict[str, str]] = {}
    for column, cell in zip(columns, cells, strict=False):
        if column is None or not cell.strip() or column[0] == "key":
            continue
        name, number = column
        if name in ("nic", "switch", "port"):
            cabled.setdefault(number, {})[name] = cell.strip()
        elif name == "macs":
            said[name] = f"{said.get(name, '')} {cell}".strip()
        else:
            said[name] = cell
    if cabled:
        # A NIC without a switch is one that is not cabled.
        loose: list[Any] = [one for one in cabled.values() if "switch" in one]
        loose += [one for one in re.split(r"[;|\n]", said.get("cables", "")) if one.strip()]
        said["cables"] = loose
    _add(found, line, said)


def _json(text: str) -> Reading:
    found = Reading()
    try:
        data = json.loads(text)
    except RecursionError:
        found.problems.append(BadRow(1, "file", "is nested too deeply"))
        return found
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        found.problems.append(BadRow(line, "file", f"is no JSON: {error}"))
        return found
    items = data.get("machines") if isinstance(data, dict) else data
    if not isinstance(items, list) or len(items) > ROWS:
        why = f'must be a list of at most {ROWS} objects, or {{"machines": [...]}}'
        found.problems.append(BadRow(1, "file", why))
        return found
    left_out: dict[str, None] = {}
    for number, item in enumerate(items, start=1):
        if isinstance(item, dict):
            _add(found, number, _item(item, left_out))
        else:
            found.problems.append(BadRow(number, "item", "must be an object"))
    found.left_out.extend(left_out)
    return found


def _item(item: dict[str, Any], left_out: dict[str, None]) -> dict[str, Any]:
    said = {}
    for key, value in item.items():
        name = _FIELD.get(re.sub(r"[^a-z0-9]", "", key.lower()))
        if name in FIELDS:
            if value is not None:
                said[name] = value
        elif name != "key":
            left_out[key[:64]] = None
    return said


def write_json(rows: Iterable[Row]) -> str:
    """What `read` takes, one row a line."""
    lines = [json.dumps({k: v for k, v in row.plain().items() if v not in ("", (), None)})
             for row in rows]  # fmt: skip
    return '{"machines": [\n' + ",\n".join(lines) + "\n]}\n"


def write_csv(rows: Iterable[Row]) -> str:
    """What `read` takes; a cell that a spreadsheet would calculate begins with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    writer.writerows([_cell(getattr(row, name)) for name in FIELDS] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        value = "; ".join(_cable(one) if isinstance(one, Cable) else one for one in value)
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _cable(cable: Cable) -> str:
    to = f"{cable.switch}:{cable.port}" if cable.port else cable.switch
    return f"{cable.nic}={to}" if cable.nic else to
