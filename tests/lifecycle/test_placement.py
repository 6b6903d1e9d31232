"""What is said of one row or machine alone is what is said of it among all."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rack import Rack

from muster.lifecycle import placement
from muster.machine.manifest import Cable, Row
from muster.machine.placing import Finding
from muster.machine.states import State
from muster.store import evidence, findings, machines, manifest
from muster.store.engine import Store
from muster.store.machines import Machine

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SERIALS = ["S1", "S2", "S3", "Ü4"]
UUIDS = [f"0d1f9d4e-5d0a-4f43-9a1e-5a4f9d1e000{n}" for n in range(3)]
MACS = [f"52:54:00:00:00:0{n}" for n in range(8)]
ADDRESSES = ["10.0.0.1", "10.0.0.2", "2001:db8::1"]
SWITCHES = ["sw1", "SW1.example.net", "leaf 100%"]
PORTS = ["Ethernet1/1", "Eth1/1", "Eth1/2"]


def mostly_none(values: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from([*[""] * len(values), *values])


def rarely(values: list[str], usual: str) -> st.SearchStrategy[str]:
    return st.sampled_from([usual] * 4 + ["", *values])


cables = st.builds(
    Cable, st.sampled_from(["", "eth0"]), st.sampled_from(SWITCHES), st.sampled_from([*PORTS, ""])
)
macs = st.lists(st.sampled_from(MACS), max_size=2, unique=True).map(tuple)
heard = st.fixed_dictionaries({
    "interface": st.sampled_from(["eth0", "eth1"]), "switch": st.sampled_from(SWITCHES),
    "chassis_id": st.just("00:1c:73:00:00:01"), "port_id": st.sampled_from(PORTS),
})  # fmt: skip


def rows(number: int) -> st.SearchStrategy[Row]:
    """Of the machine with this number, or mixed up with another."""
    return st.builds(
        Row,
        name=rarely([], f"web-{number}"), serial=rarely(SERIALS, SERIALS[number]),
        uuid=mostly_none(UUIDS), macs=macs, bmc=mostly_none(ADDRESSES),
        bmc_mac=mostly_none(MACS[6:]), rack=rarely(["R2"], "R1"),
        cables=st.lists(cables, max_size=1).map(tuple),
    )  # fmt: skip


def records(number: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({
        "serial": rarely(SERIALS, SERIALS[number].lower()), "uuid": mostly_none(UUIDS),
        "macs": macs, "bmc": mostly_none(ADDRESSES), "bmc_mac": mostly_none(MACS[6:]),
        "driver": st.sampled_from(["redfish", "ipmi", "snmp"]),
        "within": st.lists(st.sampled_from(ADDRESSES), max_size=1),
        "lldp": st.one_of(st.none(), st.lists(heard, min_size=1, max_size=2)),
    })  # fmt: skip


fleets = st.tuples(*map(rows, range(4))), st.tuples(*map(records, range(4)))


def known(number: int, switch: str, within: list[str]) -> dict[str, Any]:
    heard = {"interface": "eth0", "switch": switch, "chassis_id": "", "port_id": "Eth1/1"}
    return {"serial": SERIALS[number], "uuid": "", "macs": (), "bmc": "", "bmc_mac": "",
            "driver": "ipmi", "within": within, "lldp": [heard]}  # fmt: skip


# BMCs known from within and exchanged; and a machine whose switch serves another rack.
EXCHANGED = [Row(serial=SERIALS[n], bmc=ADDRESSES[n]) for n in (0, 1)]
ASTRAY = [Row(serial=SERIALS[n], rack="R2" if n else "R1") for n in range(3)]


@example(EXCHANGED, [known(n, f"sw{n}", [ADDRESSES[1 - n]]) for n in (0, 1)])
@example(ASTRAY, [known(n, "sw1", []) for n in range(3)])
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(*fleets)
def test_a_row_or_machine_alone_is_told_what_it_is_told_among_all(
    rack: Rack, wanted: Sequence[Row], seen: Sequence[dict[str, Any]]
) -> None:
    fill(rack.store, apart(wanted), seen)
    with rack.store.read() as tx:
        everybody = machines.ids_after(tx, "")
        whole = placement.whole(tx, strangers=everybody)
        for row in whole.rows:
            alone = placement.around(tx, [row])
            assert plain(alone.finding(row)) == plain(whole.finding(row))
        among = {one.id: whole.stranger(one) for one in whole.unexpected}
        told, after = placement.strangers(tx, "", 100)
        assert ({one.id: sentence for one, sentence in told}, after) == (among, "")
        for one in everybody:
            of = placement.around(tx, ids=[one])
            rows_of = [key for key, p in of.places.items() if p.machine.id == one]
            assert rows_of == [key for key, p in whole.places.items() if p.machine.id == one]
            alone_told = {s.id: of.stranger(s) for s in of.unexpected}
            assert alone_told.get(one) == among.get(one)


def plain(finding: Finding) -> Finding:
    """Without what is not said: of a machine only whose record it is."""
    return replace(finding, machine=finding.machine and replace(finding.machine, wired=None))  # type: ignore[arg-type]


def apart(wanted: Sequence[Row]) -> list[Row]:
    """Those that an import would take beside each other."""
    taken: set[tuple[str, str]] = set()
    kept = []
    for row in wanted:
        pairs = {
            (kind, value) for kind, values in placement.wanted(row).items() for value in values
        }
        pairs |= {("key", row.key.casefold())}
        if row.key and not pairs & taken:
            kept.append(row)
            taken |= pairs
    return kept


def fill(store: Store, wanted: list[Row], seen: Sequence[dict[str, Any]]) -> None:
    with store.write() as tx:
        for machine in machines.ids_after(tx, ""):
            machines.delete(tx, machine)
        gone = [row.key for row in manifest.every(tx)]
        manifest.write(tx, gone=gone, rows=[("", row) for row in wanted], actor="ann", now=NOW)
        taken: set[str] = set()
        for number, said in enumerate(seen):
            own = [mac for mac in said["macs"] if mac not in taken]
            taken |= set(own)
            machine = record(number, said)
            machines.add(tx, machine, {mac: f"eth{n}" for n, mac in enumerate(own)})
            evidence.replace(tx, machine.id, {"bmc": {said["bmc_mac"]} - {""}})
            findings.put(tx, machine.id, "bmc", {"addresses": said["within"]}, result=0, now=NOW)
            if said["lldp"] is not None:
                findings.put(tx, machine.id, "lldp", said["lldp"], result=0, now=NOW)


def record(number: int, said: dict[str, Any]) -> Machine:
    return Machine(
        id=f"m{number}", name=f"web-{number}", state=State.NEW, state_reason="", uuid=said["uuid"],
        serial=said["serial"], vendor="", product="", architecture="x86_64", firmware="uefi",
        permitted=True, denied_reason="", surveyed_at=None, summary={}, power_driver=said["driver"],
        power_parameters={"power_address": said["bmc"]}, bmc=said["bmc"], created_at=NOW,
        updated_at=NOW,
    )  # fmt: skip
