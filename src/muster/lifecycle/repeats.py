# SPDX-License-Identifier: Apache-2.0
"""Requests that are sent again because their answer was lost: done once, answered as before.

A claim is written before the request is worked on, so that of two at once one is refused; that
something was changed is written in the transaction that changes it. A server that dies leaves a
claim; it is taken over after LEASE, unless something was changed.
"""

import hashlib
import hmac
from datetime import datetime, timedelta

from muster.lifecycle import secrets
from muster.store import answers
from muster.store.answers import Answer
from muster.store.engine import Conflict, Store, Tx

KEPT = timedelta(hours=24)
LEASE = timedelta(minutes=5)


class OtherRequest(Exception):
    """The key was used for another request; the message says so."""


def claim(
    store: Store, user: int, key: str, request: bytes, *, now: datetime
) -> tuple[Answer, bool]:
    """The kept answer and True; or a claim, whose holder is to `keep` an answer, and False.

    Raises OtherRequest, and Conflict while somebody works on it.
    """
    # Keyed, as a request may hold a password: who reads the table has not the key.
    fingerprint = hmac.new(key.encode(), request, hashlib.sha256).hexdigest()
    mine = Answer(
        user_id=user,
        key_hash=secrets.digest(key),
        fingerprint=fingerprint,
        claimed_at=now,
        claim=secrets.new_id(16),
        written=False,
        status=None,
        headers={},
        body=b"",
    )
    with store.write() as tx:
        store.one_at_a_time(tx)
        answers.forget(tx, before=now - KEPT)
        known = answers.find(tx, user, mine.key_hash)
        if known is not None:
            _check(known, mine)
            if known.status is not None:
                return known, True
        answers.put(tx, mine)
    return mine, False


def _check(known: Answer, mine: Answer) -> None:
    if not hmac.compare_digest(known.fingerprint, mine.fingerprint):
        raise OtherRequest(
            "Idempotency-Key: was used for another request (path or body differ) in the last 24 h;"
            " every new request needs a new key"
        )
    if known.status is None and mine.claimed_at < known.claimed_at + LEASE:
        raise Conflict(
            "Idempotency-Key: the first request with it is still worked on; repeat in a second"
        )
    if known.status is None and known.written:
        raise Conflict(
            "Idempotency-Key: the first request was carried out, but the server stopped before it"
            " could answer; look what it made, and use a new key for anything more"
        )


def mark(tx: Tx, claimed: Answer) -> None:
    """In the transaction that changes something; raises Conflict when the claim was too old."""
    if not answers.update(tx, claimed, written=True):
        raise Conflict("Idempotency-Key: this took so long that another request has taken it over")


def keep(store: Store, claimed: Answer, status: int, headers: dict[str, str], body: bytes) -> None:
    """The answer; a refusal is kept only when something was changed before it."""
    with store.write() as tx:
        if status >= 400:
            answers.release(tx, claimed)
        answers.update(tx, claimed, status=status, headers=headers, body=body)


def abandoned(store: Store, claimed: Answer) -> None:
    """There will be no answer."""
    with store.write() as tx:
        answers.release(tx, claimed)
