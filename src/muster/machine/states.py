# SPDX-License-Identifier: Apache-2.0
"""The states of a machine and the one table of transitions between them.

Names are MAAS's, plus Retired and In use (handed over: hands off). Who may ask for a change is
not known here, only which changes exist.
"""

from enum import StrEnum


class State(StrEnum):
    """A machine's state, as people read it."""

    NEW = "New"
    COMMISSIONING = "Commissioning"
    FAILED_COMMISSIONING = "Failed commissioning"
    TESTING = "Testing"
    FAILED_TESTING = "Failed testing"
    READY = "Ready"
    BROKEN = "Broken"
    RETIRED = "Retired"
    IN_USE = "In use"


_S = State

TRANSITIONS: dict[State, frozenset[State]] = {
    # From New only commissioning leads on: a passed test alone never makes a machine Ready.
    _S.NEW: frozenset({_S.COMMISSIONING, _S.BROKEN, _S.RETIRED}),
    _S.COMMISSIONING: frozenset(
        # Failed testing: what a machine commissioned again gets back when that is aborted.
        {
            _S.NEW,
            _S.TESTING,
            _S.READY,
            _S.FAILED_COMMISSIONING,
            _S.FAILED_TESTING,
            _S.BROKEN,
            _S.RETIRED,
        }
    ),
    _S.FAILED_COMMISSIONING: frozenset({_S.COMMISSIONING, _S.BROKEN, _S.RETIRED}),
    # Failed commissioning: what a machine has again when its second commissioning is aborted
    # while the tests run.
    _S.TESTING: frozenset(
        {
            _S.READY,
            _S.FAILED_TESTING,
            _S.FAILED_COMMISSIONING,
            _S.NEW,
            _S.BROKEN,
            _S.RETIRED,
        }
    ),
    _S.FAILED_TESTING: frozenset({_S.COMMISSIONING, _S.TESTING, _S.READY, _S.BROKEN, _S.RETIRED}),
    _S.READY: frozenset({_S.COMMISSIONING, _S.TESTING, _S.IN_USE, _S.BROKEN, _S.RETIRED}),
    _S.BROKEN: frozenset({_S.COMMISSIONING, _S.TESTING, _S.READY, _S.RETIRED}),
    _S.RETIRED: frozenset({_S.NEW, _S.COMMISSIONING}),
    _S.IN_USE: frozenset({_S.READY, _S.BROKEN}),
}

WORKING = frozenset({State.COMMISSIONING, State.TESTING})
"""States in which a machine boots the ephemeral OS and owes us a run."""


class Refused(Exception):
    """A change that the table does not have; the message says which and what is possible."""


def check(old: State, new: State) -> None:
    """Raise Refused unless a machine may go from `old` to `new`."""
    if new not in TRANSITIONS[old]:
        possible = ", ".join(sorted(TRANSITIONS[old])) or "nothing"
        raise Refused(f"a machine that is {old} cannot become {new}; possible: {possible}")


def startable(goal: State) -> frozenset[State]:
    """The states from which `goal` can be reached in one step."""
    return frozenset(state for state, goals in TRANSITIONS.items() if goal in goals)
