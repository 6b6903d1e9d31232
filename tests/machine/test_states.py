from itertools import product

import pytest

from muster.machine.states import TRANSITIONS, WORKING, Refused, State, check, startable

# From each row's state to each state that has an x.
TABLE = """
                      New Comm FailC Test FailT Ready Broken Retired InUse
New                   -   x    -     -    -     -     x      x       -
Commissioning         x   -    x     x    x     x     x      x       -
Failed commissioning  -   x    -     -    -     -     x      x       -
Testing               x   -    x     -    x     x     x      x       -
Failed testing        -   x    -     x    -     x     x      x       -
Ready                 -   x    -     x    -     -     x      x       x
Broken                -   x    -     x    -     x     -      x       -
Retired               x   x    -     -    -     -     -      -       -
In use                -   -    -     -    -     x     x      -       -
"""
ROWS = {line[:22].strip(): line[22:].split() for line in TABLE.strip("\n").splitlines()[1:]}
PAIRS = list(product(State, State))


@pytest.mark.parametrize(("old", "new"), PAIRS, ids=[f"{a} to {b}" for a, b in PAIRS])
def test_transition(old: State, new: State) -> None:
    if ROWS[old][list(State).index(new)] == "x":
        check(old, new)
        assert old in startable(new)
        return
    assert old not in startable(new)
    with pytest.raises(Refused, match=rf"^a machine that is {old} cannot become {new}; possible: "):
        check(old, new)


def test_a_refusal_names_what_is_possible() -> None:
    with pytest.raises(Refused) as refusal:
        check(State.IN_USE, State.COMMISSIONING)
    assert str(refusal.value) == (
        "a machine that is In use cannot become Commissioning; possible: Broken, Ready"
    )


def test_every_state_can_be_left_and_all_but_new_are_reached() -> None:
    assert all(TRANSITIONS[state] for state in State)
    assert frozenset(State) == frozenset().union(*TRANSITIONS.values())


@pytest.mark.parametrize("work", sorted(WORKING))
def test_an_aborted_machine_can_get_back_what_it_was(work: State) -> None:
    # Commissioning goes on to Testing by itself: no person began there.
    assert startable(work) - WORKING <= TRANSITIONS[work]
