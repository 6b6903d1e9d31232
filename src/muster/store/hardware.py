# SPDX-License-Identifier: Apache-2.0
"""What conditions ask of each machine's hardware, read from its last document."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from muster.machine import traits as kinds
from muster.store import traits
from muster.store.engine import Tx, from_json
from muster.store.schema import hardware


def keep(tx: Tx, machine: str, facts: dict[str, Any]) -> None:
    """Instead of what was known before."""
    tx.execute(hardware.delete().where(hardware.c.machine_id == machine))
    tx.execute(hardware.insert().values(machine_id=machine, facts=facts))
    wanted = kinds.traits({"hardware": facts}, kinds.HARDWARE)
    traits.replace(tx, machine, wanted, kinds.HARDWARE)


def of(tx: Tx, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """The facts of those of `ids` that sent a document."""
    # The database's own type would read all of the text.
    text = sa.cast(hardware.c.facts, sa.Text)
    query = sa.select(hardware.c.machine_id, text).where(hardware.c.machine_id.in_(ids))
    return {machine: _Facts(told) for machine, told in tx.execute(query)}


class _Facts(Mapping[str, Any]):
    """A JSON object whose values are read when they are asked for.

    A condition asks for some 400 of 5,000 bytes; to make objects of the others, dropped at once,
    was a fifth of what a machine costs a filtered list (5.1 ms instead of 3.9 for 50).
    """

    def __init__(self, text: str) -> None:
        self._values: dict[str, Any] = from_json(text, _PARTS)

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        if isinstance(value, msgspec.Raw):
            value = self._values[name] = from_json(bytes(value))
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


_PARTS = msgspec.json.Decoder(dict[str, msgspec.Raw])
