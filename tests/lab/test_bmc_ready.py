"""A lab machine's BMC before it answers."""

import asyncio
from pathlib import Path

import pytest

from muster.lab import bmc
from muster.lab.bmc import Bmc, new_password
from muster.lab.errors import CannotStart
from muster.lab.machines import Bmc as Kind
from muster.lab.machines import Order, build


def of_kind(kind: Kind, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Bmc:
    """One that was never started, with a log of an earlier time."""
    monkeypatch.setattr(bmc, "READY_S", 0.2)
    monkeypatch.setattr(bmc, "HTTPS", 1)  # tcpmux, which nobody has
    machine = build("test", Order(name="m1", bmc=kind))
    password = new_password(folder / "password")
    made = Bmc(machine, address="127.0.0.1", number=1, password_file=password, folder=folder)
    (folder / "bmc.log").write_text("Address already in use\n")
    return made


def test_a_redfish_bmc_that_never_answers_is_told_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = of_kind(Kind.REDFISH, tmp_path, monkeypatch)
    with pytest.raises(CannotStart, match=r"(?s)the BMC of m1 did not .*already in use"):
        asyncio.run(silent.ready())


def test_nobody_waits_for_ipmi_whose_clients_ask_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(of_kind(Kind.IPMI, tmp_path, monkeypatch).ready())
