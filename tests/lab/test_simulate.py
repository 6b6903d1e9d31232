"""Simulated machines against a real server: what they sent is all there, once."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bench.ingest import compare
from tests.server.running import LiveServer, live_server
from tests.server.shelf import stocked

from muster.lab import fleet
from muster.lab.simulate import Outcome, Refused, Wave, run
from muster.lifecycle.readings import READERS
from muster.scripts import catalogue
from muster.store.engine import Store
from muster.wire.resources import read_document, summary


@pytest.fixture
def engine() -> str:
    """Nothing here is about the database: one engine will do."""
    return "sqlite"


@pytest.fixture
def server(store: Store, tmp_path: Path) -> Iterator[LiveServer]:
    with live_server(store, stocked(tmp_path)) as running:
        yield running


def test_simulated_machines_enlist_and_nothing_is_lost_or_doubled(
    server: LiveServer, store: Store
) -> None:
    outcome = Outcome()
    asyncio.run(run(Wave(server.url, 3, at_once=3), outcome))
    assert (outcome.done, outcome.failures) == (3, [])
    assert compare(store, 3) == (0, 0)


def test_a_missing_machine_is_counted_as_lost(store: Store) -> None:
    assert compare(store, 2) == (2, 0)


@pytest.mark.slow
def test_the_command_tells_figures_and_names_refusals(server: LiveServer) -> None:
    words = [sys.executable, "-m", "muster", "simulate", server.url, "--machines", "2"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["machines"], told["failed"]) == (2, 0)
    again = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert again.returncode == 1
    assert "its boot answer starts no ephemeral OS" in again.stderr


@pytest.mark.parametrize("address", ["ftp://x", "nonsense", "http://"])
def test_an_address_that_is_no_server_is_named(address: str) -> None:
    with pytest.raises(Refused, match="is no server's address"):
        asyncio.run(run(Wave(address, 1), Outcome()))


@pytest.mark.parametrize("number", [0, 1, 2, 3, min(fleet.TRIALS), fleet.RARE_EVERY - 1])
def test_what_a_simulated_machine_prints_can_be_read(number: int) -> None:
    document = read_document(fleet.document(number))
    short = summary(document)
    assert (short.serial, short.uuid) == (
        fleet.identity(number).serial,
        fleet.identity(number).uuid,
    )
    assert [nic.mac for nic in short.nics] == list(fleet.identity(number).macs)
    assert 40_000 < len(fleet.document(number)) < 100_000
    for name in {script.name for script in catalogue.for_enlist()} & READERS.keys():
        _, reader = READERS[name]
        reader(fleet.output(name, number))
    cmdline = READERS["99-maas-05-kernel-cmdline"][1](fleet.output("99-maas-05-kernel-cmdline", 5))
    assert cmdline == {"mac": fleet.identity(5).macs[0]}


def test_no_two_simulated_machines_share_an_identity() -> None:
    many = [fleet.identity(number) for number in (*range(300), 65_536, 70_000, 999_999)]
    assert len({who.uuid for who in many}) == len({who.serial for who in many}) == len(many)
    assert len({mac for who in many for mac in who.macs}) == 2 * len(many)
