# SPDX-License-Identifier: Apache-2.0
"""Answers to requests that may be sent again, by the caller and the hash of his key."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.store.engine import Tx
from muster.store.rows import to
from muster.store.schema_people import answers


@dataclass(frozen=True)
class Answer:
    """`claim` names who works on it; `status` is None until there is an answer.

    `written` says that the request has changed something.
    """

    user_id: int
    key_hash: str
    fingerprint: str
    claimed_at: datetime
    claim: str
    written: bool
    status: int | None
    headers: dict[str, str]
    body: bytes


def find(tx: Tx, user: int, key_hash: str) -> Answer | None:
    """The answer, or that somebody works on it."""
    where = sa.and_(answers.c.user_id == user, answers.c.key_hash == key_hash)
    return to(Answer, tx.execute(sa.select(answers).where(where)).first())


def put(tx: Tx, answer: Answer) -> None:
    """In place of what there was for this key."""
    _delete(tx, answers.c.user_id == answer.user_id, answers.c.key_hash == answer.key_hash)
    tx.execute(answers.insert().values(asdict(answer)))


def update(tx: Tx, answer: Answer, **values: Any) -> bool:
    """False when somebody else has claimed it since."""
    where = _of_claim(answer)
    return tx.execute(answers.update().where(*where).values(values)).rowcount == 1


def release(tx: Tx, answer: Answer) -> None:
    """As if it had never been asked, when nothing was written."""
    _delete(tx, *_of_claim(answer), answers.c.written.is_(False))


def forget(tx: Tx, *, before: datetime) -> None:
    """Those that are kept long enough."""
    _delete(tx, answers.c.claimed_at < before)


def _of_claim(answer: Answer) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        answers.c.user_id == answer.user_id,
        answers.c.key_hash == answer.key_hash,
        answers.c.claim == answer.claim,
    )


def _delete(tx: Tx, *where: sa.ColumnElement[bool]) -> None:
    tx.execute(answers.delete().where(*where))
