import pytest

from muster.machine.names import ID_ALPHABET, from_number, valid
from muster.machine.phases import AFTER, ORDER, Phase, later


def test_the_journey_has_this_order() -> None:
    journey = "dhcp loader kernel network firmware swift root metadata agent drivers scripts end"
    assert " ".join(ORDER) == journey


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase != Phase.END])
def test_every_phase_but_the_last_has_a_limit_and_a_remedy(phase: Phase) -> None:
    wait = AFTER[phase]
    assert 60 <= wait.seconds <= 600
    assert len(wait.remedy) > 40


def test_nothing_is_waited_for_after_the_end() -> None:
    assert Phase.END not in AFTER


def test_later_is_strict() -> None:
    assert later(Phase.KERNEL, Phase.LOADER)
    assert not later(Phase.LOADER, Phase.KERNEL)
    assert not later(Phase.KERNEL, Phase.KERNEL)


@pytest.mark.parametrize("name", ["a", "bold-otter", "r2-d2", "0", "x" * 63])
def test_a_dns_label_is_a_name(name: str) -> None:
    assert valid(name)


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a.b", "a_b", "ä", "x" * 64, "a\n", "a b", "../etc"]
)
def test_what_is_no_dns_label_is_no_name(name: str) -> None:
    assert not valid(name)


def test_names_are_dns_labels_and_thousands() -> None:
    names = {from_number(number) for number in range(5000)}
    assert len(names) > 3500
    assert all(valid(name) for name in names)


def test_ids_have_no_letters_that_look_alike() -> None:
    assert not set(ID_ALPHABET) & set("0o1liaeu")
