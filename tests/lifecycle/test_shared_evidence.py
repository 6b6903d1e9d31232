"""Strong evidence that two records share is noticed, whatever the order of reports."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rack import Rack
from sides import M1, M2, M3, U1, U2, U3, claims, decide, document, machine, survey, undo, waiting

from muster.store import clashes, evidence, machines
from muster.store.engine import Conflict
from muster.store.schema import metadata


@pytest.fixture
def otter(rack: Rack) -> str:
    return machine(rack, 1)


SHARED = {
    "TPM key": ("tpm", {"extra": {"tpm": {"ek_sha256": "01" * 32}}}),
    "BMC's MAC": ("bmc", {"extra": {"bmc": {"lan": [{"channel": 1, "mac": "b0:7b:25:00:00:01"}]}}}),
    "board serial number": (
        "board", {"resources": {"system": {"motherboard": {"serial": "BOARD1"}}}},
    ),
    "MAC": ("mac", {"resources": {"network": {"cards": [
        {"ports": [{"id": "p", "address": M1}]},
    ]}}}),
}  # fmt: skip


def merged(plain: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    for key, value in change.items():
        plain[key] = merged(plain[key], value) if isinstance(value, dict) else value
    return plain


@pytest.mark.parametrize("called", SHARED)
def test_strong_evidence_on_two_records_is_noticed_once(rack: Rack, otter, called: str) -> None:
    kind, change = SHARED[called]
    plain = merged(document(2), copy.deepcopy(change))
    crab = machine(rack, 2, plain=plain)
    (clash,) = waiting(rack)
    assert clash.because.startswith(f"{called} ")
    assert clash.contested[0][0] == kind
    assert {rack.machine(otter).id, rack.machine(crab).id} == set(clash.machines)
    rack.set(crab, surveyed_at=None)
    machine(rack, 2, plain=plain, key="k4")
    assert len(waiting(rack)) == 1
    decide(rack, clash, "different")
    rack.set(crab, surveyed_at=None)
    machine(rack, 2, plain=plain, key="k3")
    assert waiting(rack) == []


def test_a_board_changed_with_its_nics_is_shown_beside_its_old_record(rack: Rack, otter) -> None:
    """The serial number was written again; UUID and MACs are the new board's."""
    rack.now.advance(60)
    plain = document(1)
    plain["extra"]["tpm"]["ek_sha256"] = "99" * 32
    plain["extra"]["bmc"]["lan"] = []
    plain["resources"]["system"]["motherboard"]["serial"] = "SPARE"
    crab = machine(rack, 2, serial="SN1", plain=plain)
    assert crab != otter
    (clash,) = waiting(rack)
    assert clash.because.startswith("serial number ")
    assert clash.because.endswith("a changed board, or several nodes in one chassis?")
    decide(rack, clash, "merge", otter)
    (kept,) = rack.machines()
    assert (kept.name, kept.uuid) == (otter, U2)
    assert rack.macs(otter) == [M1, M2]


def test_nodes_of_one_chassis_are_said_to_be_different_once_for_all(rack: Rack, otter) -> None:
    for number in (2, 3):
        plain = document(number)
        plain["resources"]["system"]["serial"] = "SN1"
        machine(rack, number, serial="SN1", plain=plain)
    several = waiting(rack)
    assert len(several) == 2
    decide(rack, several[0], "different")
    assert waiting(rack) == []
    with pytest.raises(Conflict, match="undo that one"):
        undo(rack, several[1])
    undo(rack, several[0])
    assert {one.id for one in waiting(rack)} == {one.id for one in several}


def shared_unnoticed(rack: Rack) -> list[tuple[str, str]]:
    """Strong evidence on two records that no undecided clash and no decision is about."""
    with rack.store.read() as tx:
        ids = [machine.id for machine in machines.some(tx)]
        owners: dict[tuple[str, str], set[str]] = {}
        for one, kinds in evidence.of(tx, ids).items():
            for kind in ("tpm", "uuid", "mac", "bmc", "bmc_guid", "board", "serial"):
                for value in kinds.get(kind, ()):
                    owners.setdefault((kind, value), set()).add(one)
        told = {tuple(pair) for clash in clashes.some(tx) for pair in clash.contested}
        ignored = evidence.ignored(tx, owners)
    return [p for p, who in owners.items() if len(who) > 1 and p not in told and p not in ignored]


reports = st.lists(
    st.tuples(
        st.sampled_from(["", U1, U2, U3]),
        st.sampled_from(["SN1", "SN2", "Default string"]),
        st.sets(st.sampled_from([M1, M2, M3])),
        st.integers(1, 3),
        st.sampled_from(["b0:7b:25:00:00:01", "b0:7b:25:00:00:02"]),
    ),
    max_size=6,
)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(reports, st.randoms())
def test_whatever_the_order_no_two_records_share_strong_evidence_unnoticed(
    rack: Rack, said: list[Any], chance: Any
) -> None:
    with rack.store.write() as tx:
        for table in ("machines", "boots", "clashes", "ignored_evidence", "stays", "events"):
            tx.execute(metadata.tables[table].delete())
    owner: dict[str, str] = {}
    for number, (uuid, serial, macs, tpm, bmc) in enumerate(said):
        welcome = claims(rack, uuid=uuid, serial=serial, macs=sorted(macs), key=f"p{number}")
        if welcome.decision == "run":
            plain = document(tpm, mac=bmc)
            plain["resources"]["system"]["serial"] = serial
            survey(rack, welcome, plain)
        now_owned = {mac: m.id for m in rack.machines() for mac in rack.macs(m.name)}
        assert owner.items() <= now_owned.items(), "a machine took a MAC by what it said"
        owner = now_owned
        assert shared_unnoticed(rack) == []
        open_ones = [clash for clash in waiting(rack) if clash.contested]
        if open_ones and chance.random() < 0.3:
            decide(rack, chance.choice(open_ones), "different")
