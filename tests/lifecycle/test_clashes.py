"""Machines that contradict the records: kept for a person, decided, undone."""

import json
from datetime import datetime

import pytest
import sqlalchemy as sa
from rack import Rack
from sides import M1, M2, M3, U1, U2, U3, claims, decide, document, machine, survey, undo, waiting

from muster.lifecycle import clashes as verbs
from muster.lifecycle import commission
from muster.store import clashes, counts, evidence, versions
from muster.store.engine import Conflict
from muster.store.schema import metadata

# Each decision made and undone leaves these as they were.
_TOLD_ANYWAY = {"traits", "trait_words", "events", "clashes", "ignored_evidence", "alembic_version"}


@pytest.fixture
def otter(rack: Rack) -> str:
    return machine(rack, 1)


@pytest.fixture
def crab(rack: Rack, otter: str) -> str:
    return machine(rack, 2)


def everything(rack: Rack) -> dict[str, list[str]]:
    """Every row of every table but those that tell what was decided."""
    found = {}
    with rack.store.read() as tx:
        for table in metadata.sorted_tables:
            if table.name in _TOLD_ANYWAY:
                continue
            if table.name == "machine_counts":
                # On PostgreSQL each change is a row; what counts is their sum.
                found[table.name] = [repr(sorted(counts.by_state(tx).items()))]
                continue
            rows = (dict(row._mapping) for row in tx.execute(sa.select(table)))
            found[table.name] = sorted(
                repr({k: v for k, v in row.items() if k != "updated_at"}) for row in rows
            )
    return found


def test_a_moved_nic_is_taken_over_by_the_machine_that_has_it(rack: Rack, otter, crab) -> None:
    held = claims(rack, uuid=U1, macs=[M1, M2])
    assert held.decision == "hold"
    (clash,) = waiting(rack)
    assert clash.contested == [["uuid", U1], ["mac", M1], ["mac", M2]]
    before = everything(rack)
    decided = decide(rack, clash, "same", otter)
    assert (decided.decision, decided.decided_by) == ("same", "ann")
    assert (rack.macs(otter), rack.macs(crab)) == ([M1, M2], [])
    assert waiting(rack) == []
    undo(rack, clash)
    assert everything(rack) == before
    assert [one.id for one in waiting(rack)] == [clash.id]


def test_a_machine_on_hold_goes_on_as_soon_as_it_is_decided(rack: Rack, otter, crab) -> None:
    plan = rack.boot(uuid="", mac="52:54:00:99:99:99")
    words = {"uuid": U1, "macs": [M1, M2], "serial": "SNX", "key": "kx"}
    assert rack.say_hello(plan.nonce, **words).decision == "hold"
    decide(rack, waiting(rack)[0], "same", otter)
    welcome = rack.say_hello(plan.nonce, **words)
    assert (welcome.decision, welcome.machine) == ("run", otter)


def test_a_changed_board_keeps_its_record(rack: Rack, otter) -> None:
    assert claims(rack, uuid=U3, macs=[M1], serial="SN8").decision == "hold"
    (clash,) = waiting(rack)
    before = everything(rack)
    decide(rack, clash, "same", otter)
    assert (rack.machine(otter).uuid, rack.machine(otter).serial) == (U3, "SN8")
    assert claims(rack, uuid=U3, macs=[M1], serial="SN8", key="k9").machine == otter
    assert waiting(rack) == []
    boots = everything(rack)["boots"]
    undo(rack, clash)
    assert rack.machine(otter).uuid == U1
    assert everything(rack)["macs"] == before["macs"]
    assert everything(rack)["boots"] == boots


def test_a_duplicate_uuid_identifies_nobody_any_more(rack: Rack, otter) -> None:
    words = {"uuid": U1, "macs": [M3], "serial": "SN9"}
    assert claims(rack, **words).decision == "hold"
    decide(rack, waiting(rack)[0], "different")
    welcome = claims(rack, **words)
    assert (welcome.decision, welcome.machine == otter) == ("run", False)
    assert (
        f"hardware UUID {U1} is on several machines" in rack.machine(welcome.machine).state_reason
    )
    assert rack.machine(otter).uuid == U1
    rack.set(otter, surveyed_at=None)
    again = rack.arrive(uuid=U1, macs=[M1], serial="SN1", key="k8")[1]
    assert again.machine == otter
    assert waiting(rack) == []


def test_what_was_called_not_identifying_is_so_again_after_an_undo(rack: Rack, otter) -> None:
    words = {"uuid": U1, "macs": [M3], "serial": "SN9"}
    claims(rack, **words)
    (clash,) = waiting(rack)
    decide(rack, clash, "different")
    undo(rack, clash)
    assert claims(rack, **words).decision == "hold"
    assert len(waiting(rack)) == 1


def test_a_nic_in_a_machine_not_known_becomes_a_record_of_its_own(rack: Rack, otter) -> None:
    words = {"uuid": U3, "macs": [M1, M3], "serial": "SN3"}
    claims(rack, **words)
    (clash,) = waiting(rack)
    before = everything(rack)
    kept = decide(rack, clash, "new").kept
    assert (rack.macs(otter), rack.macs(kept)) == ([], [M1, M3])
    undo(rack, clash)
    assert everything(rack) == before
    decide(rack, clash, "new")
    welcome = claims(rack, **words, key="k7")
    assert welcome.decision == "run"
    with pytest.raises(Conflict, match="has been looked at since: muster clash merge"):
        undo(rack, clash)


def test_two_records_of_one_machine_are_merged_with_their_history(rack: Rack, otter, crab) -> None:
    rack.now.advance(60)
    claims(rack, uuid=U1, macs=[M1, M2])
    (clash,) = waiting(rack)
    gone = rack.machine(crab)
    before = everything(rack)
    decide(rack, clash, "merge", otter)
    assert [machine.name for machine in rack.machines()] == [otter]
    assert rack.macs(otter) == [M1, M2]
    assert len(rack.runs(otter)) == 2
    with rack.store.read() as tx:
        kept = rack.machine(otter).id
        assert sorted(v.version for v in versions.some(tx, kept, limit=9)) == [1, 2]
        assert evidence.of(tx, [kept])[kept]["tpm"] >= {"02" * 32}
    undo(rack, clash)
    assert everything(rack) == before
    assert rack.machine(crab) == gone


def test_after_a_merge_the_later_survey_counts(rack: Rack, otter) -> None:
    rack.now.advance(3600)
    with_less = document(2)
    with_less["resources"]["gpu"]["cards"] = []
    crab = machine(rack, 2, plain=with_less)
    claims(rack, uuid=U1, macs=[M1, M2])
    decide(rack, waiting(rack)[0], "merge", otter)
    assert rack.machine(otter).surveyed_at == rack.now()
    with rack.store.read() as tx:
        newest = versions.some(tx, rack.machine(otter).id, limit=1)[0]
        assert json.loads(versions.body(tx, newest)) == with_less
    assert crab != otter


def test_what_has_come_since_a_merge_stays_where_it_came(rack: Rack, otter, crab) -> None:
    claims(rack, uuid=U1, macs=[M1, M2])
    (clash,) = waiting(rack)
    decide(rack, clash, "merge", otter)
    rack.set(otter, surveyed_at=None)
    survey(rack, claims(rack, uuid=U1, macs=[M1, M2], key="k6"), document(1))
    undo(rack, clash)
    assert (len(rack.runs(otter)), len(rack.runs(crab))) == (2, 1)


def test_a_machine_that_works_is_not_merged(rack: Rack, otter, crab) -> None:
    claims(rack, uuid=U1, macs=[M1, M2])
    (clash,) = waiting(rack)
    rack.set(crab, state="In use")
    with pytest.raises(Conflict, match="is In use: keep it"):
        decide(rack, clash, "merge", otter)
    rack.set(crab, surveyed_at=None, state="New")
    rack.arrive(uuid=U2, macs=[M2], serial="SN2", key="k5")
    with pytest.raises(Conflict, match="is being looked at: wait for the end, or abort it"):
        decide(rack, clash, "merge", otter)
    assert waiting(rack) == [clash]


def test_a_decision_must_fit_its_clash(rack: Rack, otter, crab) -> None:
    other = machine(rack, 3)
    claims(rack, uuid=U1, macs=[M1, M2])
    (clash,) = waiting(rack)
    with pytest.raises(Conflict, match=f"{other} has no part in clash {clash.id}"):
        decide(rack, clash, "same", other)
    decide(rack, clash, "same", otter)
    with pytest.raises(Conflict, match="was decided already"):
        decide(rack, clash, "different")
    undo(rack, clash)
    with pytest.raises(Conflict, match="is not decided"):
        undo(rack, clash)


def test_a_name_that_was_given_away_since_stops_an_undo(rack: Rack, otter, crab) -> None:
    claims(rack, uuid=U1, macs=[M1, M2])
    (clash,) = waiting(rack)
    decide(rack, clash, "merge", otter)
    other = machine(rack, 3)
    commission.rename(rack.store, other, crab, actor="ann", now=rack.now())
    before = everything(rack)
    with pytest.raises(Conflict, match="is taken meanwhile"):
        undo(rack, clash)
    assert everything(rack) == before


def test_a_record_of_two_machines_is_split_and_made_one_again(rack: Rack, otter) -> None:
    rack.set(otter, surveyed_at=None)
    survey(rack, rack.arrive(uuid="", macs=[M1, M2], mac_seen=M2, serial="SN1", key="k9")[1],
           document(1))  # fmt: skip
    assert rack.macs(otter) == [M1, M2]
    with pytest.raises(Conflict, match="not all"):
        verbs.split(rack.store, otter, macs=[M1, M2], uuid="", actor="ann", now=rack.now())
    with pytest.raises(Conflict, match="has no MAC"):
        verbs.split(rack.store, otter, macs=[M3], uuid="", actor="ann", now=rack.now())
    made, number = verbs.split(rack.store, otter, macs=[M2], uuid="", actor="ann", now=rack.now())
    assert (rack.macs(otter), rack.macs(made.name)) == ([M1], [M2])
    assert (len(rack.runs(otter)), len(rack.runs(made.name))) == (1, 1)
    assert rack.machine(made.name).summary == rack.machine(otter).summary
    with rack.store.read() as tx:
        row = clashes.find(tx, number)
    undo(rack, row)
    assert waiting(rack) == []
    assert [m.name for m in rack.machines()] == [otter]
    assert rack.macs(otter) == [M1, M2]
    assert len(rack.runs(otter)) == 2


def test_two_records_that_a_person_knows_to_be_one_machine_become_one_and_two_again(
    rack: Rack, otter
) -> None:
    twin = machine(rack, 2)
    before = everything(rack)
    with pytest.raises(Conflict, match="is one record already"):
        merge(rack, otter, otter)
    number = merge(rack, otter, twin)
    assert [m.name for m in rack.machines()] == [otter]
    assert rack.macs(otter) == [M1, M2]
    assert len(rack.runs(otter)) == 2
    with rack.store.read() as tx:
        row = clashes.find(tx, number)
        assert clashes.some(tx) == []
    assert (row.decision, row.because) == (
        "merge",
        f"{twin} was {otter}: two records of one machine",
    )
    undo(rack, row)
    assert everything(rack) == before
    with rack.store.read() as tx:
        assert (clashes.some(tx), clashes.find(tx, number).decision) == ([], "undone")
    with pytest.raises(Conflict, match="was undone already"):
        undo(rack, row)


def test_where_a_clash_waits_about_both_that_is_decided(rack: Rack, otter) -> None:
    twin = machine(rack, 2)
    claims(rack, uuid=U1, macs=[M2])
    (clash,) = waiting(rack)
    assert len(clash.machines) == 2
    with pytest.raises(Conflict, match=f"muster clash decide {clash.id} merge {otter}"):
        merge(rack, otter, twin)


def merge(rack: Rack, kept: str, other: str) -> int:
    return verbs.merge(rack.store, kept, other, actor="ann", now=rack.now())


def test_the_time_is_that_of_the_decision(rack: Rack, otter, now: datetime) -> None:
    claims(rack, uuid=U1, macs=[M3], serial="SN9")
    rack.now.advance(5)
    decided = decide(rack, waiting(rack)[0], "different")
    assert (decided.at, decided.decided_at) == (now, rack.now())
    assert rack.told("clash.decided")[0].endswith(": different")
