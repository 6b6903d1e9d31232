# SPDX-License-Identifier: Apache-2.0
"""Tables for people: nothing of a value is left out, however narrow the terminal is."""

import sys

from rich.console import Console
from rich.table import Table

_PIPED = 100_000
"""Columns: wider than any line; through a pipe a row is one line, for grep and less -S."""


def table(*heads: str) -> Table:
    """Its first column, by which things are called, is not broken into lines; the others may be."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for number, head in enumerate(heads):
        made.add_column(head, no_wrap=number == 0, overflow="fold")
    return made


def put(made: Table) -> None:
    """Print it, as wide as the terminal or as its longest values."""
    if sys.stdout.isatty():
        Console().print(made)
        return
    console = Console(width=_PIPED, color_system=None)
    with console.capture() as captured:
        console.print(made)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
