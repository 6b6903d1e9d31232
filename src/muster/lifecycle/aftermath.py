# SPDX-License-Identifier: Apache-2.0
"""What follows when a script has ended and its output is on record: tags, and who is who."""

from datetime import datetime

from muster.lifecycle import clashes, tags
from muster.lifecycle.survey import EVIDENCE, RESOURCES
from muster.store import hardware
from muster.store.engine import Tx


def of_script(
    tx: Tx, machine: str, script: str, named: list[str] | None, now: datetime, *, read: bool,
    boot: str,
) -> None:  # fmt: skip
    """`named` are the tags that the script names, `read` that its output could be read.

    The caller has locked the machine.
    """
    tags.after_script(tx, machine, script, named, now, read=read)
    if read and script == RESOURCES:
        found = hardware.of(tx, [machine]).get(machine, {}).get(EVIDENCE, {})
        told = {kind: frozenset(values) for kind, values in found.items()}
        clashes.notice(tx, machine, told, now, boot=boot)
