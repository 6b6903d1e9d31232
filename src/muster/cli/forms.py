# SPDX-License-Identifier: Apache-2.0
"""Answers as JSON, YAML and CSV, for programs and spreadsheets."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import yaml

from muster.cli.words import plain

_FORMULA = ("=", "+", "-", "@")


def json_text(found: Any) -> str:
    """Indented JSON."""
    return json.dumps(found, indent=2)


def yaml_text(found: Any) -> str:
    """YAML without references, in the order of the server."""
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=False).rstrip("\n")


def csv_text(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """CSV with a head line; each cell is one line of printable text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([[_cell(value) for value in row] for row in rows])
    return out.getvalue()


def _cell(value: Any) -> str:
    """A vendor string such as =CMD() would be a formula to a spreadsheet; a quote makes it text."""
    text = plain(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
