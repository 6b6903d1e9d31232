"""bmc-config against a BMC of the tests' own; ipmi_sim judges it in tests/e2e."""

import json
from pathlib import Path
from typing import Any

import pytest
import trees
from board_bmc import CHANNEL, BoardBmc, User
from living import LiveReader

from muster.collect import bmc as survey
from muster.collect import bmcconfig, ipmi
from muster.collect.bmcchannel import Channel
from muster.collect.bmcusers import Users
from muster.wire.section import Complaint
from muster.wire.slots import Bmc, BmcLan, RedfishHost

PASSWORDS = ["Aa0-Aa0-Aa0-Aa0-", "Aa0Aa0Aa0Aa0Aa0A", "Aa0-Aa0-Aa0-Aa0-Aa0-"]
ASKED = {"user": "muster", "passwords": PASSWORDS, "privilege": 3}


def found(address: str = "192.0.2.9", **words: Any) -> Bmc:
    lan = [BmcLan(channel=CHANNEL, address=address, mac="b0:7b:25:00:00:01")]
    return Bmc(present=True, device="/dev/ipmi0", **({"lan": lan} | words))


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> BoardBmc:
    """Behind /dev/ipmi0 of this machine, with one LAN channel."""
    bmc = BoardBmc()
    monkeypatch.setattr(ipmi, "Bmc", lambda channel: bmc)
    monkeypatch.setattr(LiveReader, "channel", 0)
    monkeypatch.setattr(survey, "probe", lambda root: found())
    return bmc


def run(root: Path, asked: dict[str, Any]) -> bmcconfig.Report:
    trees.plant(root, {"/dev/ipmi0": ""})
    return bmcconfig.run(LiveReader(root), asked)


def test_without_leave_it_looks_and_changes_nothing(board: BoardBmc, tmp_path: Path) -> None:
    board.anonymous = 1
    report = run(tmp_path, {})
    assert (report.kind, report.user, report.changed, report.problem) == ("ipmi", "", [], "")
    assert report.lan == [
        {"channel": 1, "address": "192.0.2.9", "mac": "b0:7b:25:00:00:01"},
    ]
    assert report.weak == [
        "channel 1: cipher suite 0 needs no password and gives administrator",
        "channel 1: cipher suites without integrity: 1",
        "channel 1: IPMI 1.5 authentication none for user, operator, administrator",
        "channel 1: IPMI 1.5 authentication md2 for user, operator, administrator",
        "channel 1: IPMI 1.5 authentication straight password for user, operator, administrator",
        "channel 1: the anonymous user may log in without name and password",
    ]
    assert board.writes == []


def test_a_user_is_made_and_a_second_time_changes_nothing(board: BoardBmc, tmp_path: Path) -> None:
    first = run(tmp_path, ASKED)
    assert first.problem == ""
    assert (first.user, first.slot, first.channel, first.password) == ("muster", 3, 1, 0)
    made = board.users[3]
    assert (made.name, made.password) == (b"muster", PASSWORDS[0].encode())
    assert (made.enabled, made.access) == (True, 0x13)
    assert board.users[2] == User(b"root", b"calvin", enabled=True, access=0x14)
    assert board.access == {0x40: [0x02, 4], 0x80: [0x22, 3]}
    assert Channel(board, 1).suites() == {0: 0, 1: 4, 2: 4, 3: 4, 17: 4}
    assert board.parameters[2] == bytes([0, 0x14, 0x14, 0x14, 0])
    order = [write for write in board.writes if write in ("name", "password", "enable")]
    assert order == ["name", "password", "enable"]
    assert board.writes.index("parameter 24") < board.writes.index("name")

    straight = "channel 1: IPMI 1.5 authentication straight password for user, operator,"
    assert first.weak == [
        "channel 1: cipher suites without integrity: 1",
        f"{straight} administrator",
    ], "what is so at the end"
    assert first.closed == [
        "channel 1: cipher suite 0 needs no password and gives administrator",
        "channel 1: IPMI 1.5 authentication none for user, operator, administrator",
        "channel 1: IPMI 1.5 authentication md2 for user, operator, administrator",
    ]

    board.writes.clear()
    second = run(tmp_path, ASKED)
    assert (second.changed, second.closed, board.writes) == ([], [], [])
    assert second.weak == first.weak
    assert (second.slot, second.password) == (3, 0)
    assert not [text for text in (*first.changed, *second.changed) if PASSWORDS[0] in text]


def test_the_user_of_an_earlier_time_is_used_with_a_new_password(
    board: BoardBmc, tmp_path: Path
) -> None:
    board.users[5] = User(b"muster", b"old", enabled=True, access=0x13)
    report = run(tmp_path, ASKED)
    assert (report.slot, board.users[5].password) == (5, PASSWORDS[0].encode())
    assert "user 5 has a new password of 16 characters" in report.changed


@pytest.mark.parametrize("policy", [{"most": 16}, {"special": True}])
def test_the_first_kind_of_password_suits_most(
    board: BoardBmc, tmp_path: Path, policy: dict[str, Any]
) -> None:
    vars(board).update(policy)
    assert run(tmp_path, ASKED).password == 0


def test_a_policy_without_special_characters_gets_another_kind(
    board: BoardBmc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = board._set_password

    def plain_only(data: bytes) -> bytes:
        if data[1] == 2 and b"-" in data[2:]:
            raise ipmi.Refused("password: answered 0xcc", 0xCC)
        return taken(data)

    monkeypatch.setattr(board, "_set_password", plain_only)
    report = run(tmp_path, ASKED)
    assert (report.password, board.users[3].password) == (1, PASSWORDS[1].encode())


def test_a_policy_of_more_than_sixteen_characters_gets_twenty(
    board: BoardBmc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = board._set_password

    def long_only(data: bytes) -> bytes:
        if data[1] == 2 and len(data) < 22:
            raise ipmi.Refused("password: answered 0xcc", 0xCC)
        return taken(data)

    monkeypatch.setattr(board, "_set_password", long_only)
    assert run(tmp_path, ASKED).password == 2
    assert board.users[3].password == PASSWORDS[2].encode()


def test_a_bmc_that_takes_no_password_is_told(board: BoardBmc, tmp_path: Path) -> None:
    board.most = 8
    report = run(tmp_path, ASKED)
    assert report.problem == ("the BMC takes none of 3 kinds of password: password: answered 0xcc")
    assert not board.users[3].enabled


def test_a_bmc_that_cuts_passwords_off_is_not_believed(board: BoardBmc, tmp_path: Path) -> None:
    board.truncates = True
    assert "kept another one than it was given" in run(tmp_path, ASKED).problem


def test_a_bmc_that_cannot_test_a_password_is_believed_for_now(
    board: BoardBmc, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = board._set_password

    def no_test(data: bytes) -> bytes:
        if data[1] == 3:
            raise ipmi.Refused("password: answered 0xc1", 0xC1)
        return taken(data)

    monkeypatch.setattr(board, "_set_password", no_test)
    assert Users(board, CHANNEL).make("muster", PASSWORDS, 3)[:2] == (3, 0)


def test_no_user_of_others_is_taken_and_a_full_bmc_is_told(board: BoardBmc, tmp_path: Path) -> None:
    for number in range(3, 7):
        board.users[number] = User(b"someone", b"x", enabled=True, access=0x12)
    before = {number: vars(user).copy() for number, user in board.users.items()}
    report = run(tmp_path, ASKED)
    assert report.problem.startswith("all 6 user places of the BMC are taken")
    assert {number: vars(user) for number, user in board.users.items()} == before


def test_a_bmc_that_knows_little_is_not_hurt(board: BoardBmc, tmp_path: Path) -> None:
    board.parameters = {}
    board.dumb = (0x38,)
    report = run(tmp_path, ASKED)
    assert (report.weak, report.problem) == ([], "")
    assert report.user == "muster"


def test_a_user_without_a_name_is_told(board: BoardBmc, tmp_path: Path) -> None:
    board.anonymous = 2
    assert run(tmp_path, {}).weak[-1] == "channel 1: a user without a name may log in"


def test_a_bmc_without_address_asks_for_one(
    board: BoardBmc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [found(""), found(""), found("192.0.2.77")]
    monkeypatch.setattr(survey, "probe", lambda root: answers.pop(0))
    monkeypatch.setattr(bmcconfig.time, "sleep", lambda seconds: None)
    report = run(tmp_path, ASKED)
    assert report.changed[-1] == "channel 1: its address comes from DHCP"
    assert report.lan[0]["address"] == "192.0.2.77"
    assert Channel(board, 1).ask_dhcp() == []


def test_a_bmc_without_lan_cannot_be_used_from_outside(
    board: BoardBmc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "probe", lambda root: found(lan=[]))
    assert "no LAN channel" in run(tmp_path, ASKED).problem
    assert board.writes == []


def test_a_moonshot_is_known_by_its_device_id(board: BoardBmc, tmp_path: Path) -> None:
    board.device_id = 0x14
    assert run(tmp_path, {}).kind == "moonshot"


def test_a_short_answer_is_no_user(board: BoardBmc, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(board, "_get_access", lambda data: b"\1")
    assert run(tmp_path, ASKED).problem == "Get User Access: answered 1 bytes, not 4"


def test_a_device_that_cannot_be_opened_is_told(
    board: BoardBmc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: LiveReader, path: str, flags: int) -> None:
        self.complaints.append(Complaint(path, "Device or resource busy"))

    monkeypatch.setattr(LiveReader, "device", refused)
    assert run(tmp_path, {}).problem == "/dev/ipmi0: Device or resource busy"


@pytest.mark.parametrize(
    ("bmc", "files", "kind"),
    [
        (Bmc(), {}, "none"),
        (Bmc(), {"/sys/class/dmi/id/product_name": "Wedge-DC-F"}, "wedge"),
        (
            Bmc(redfish=[RedfishHost(service_address="10.77.0.200", service_port=443)]),
            {},
            "redfish",
        ),
    ],
)
def test_what_has_no_ipmi_is_only_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bmc: Bmc, files: dict[str, str], kind: str
) -> None:
    monkeypatch.setattr(survey, "probe", lambda root: bmc)
    reader = LiveReader(trees.plant(tmp_path, {**files, "/sys/firmware/efi/x": ""}))
    report = bmcconfig.run(reader, {})
    assert (report.kind, report.firmware, report.problem) == (kind, "uefi", "")
    assert len(report.redfish) == len(bmc.redfish)
    assert "by hand" in bmcconfig.run(reader, ASKED).problem


def test_the_program_prints_json_and_no_secret(
    board: BoardBmc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    secret = trees.plant(tmp_path, {"/secret": json.dumps(ASKED)}) / "secret"
    monkeypatch.setattr(bmcconfig, "Reader", lambda root: LiveReader(tmp_path))
    monkeypatch.setenv("MUSTER_SECRET_FILE", "/secret")
    assert bmcconfig.main([]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["user"] == "muster"
    assert "user 3 is named muster" in err
    assert not [text for text in PASSWORDS if text in out + err]
    secret.write_text("")
    assert bmcconfig.main([]) == 0
    board.most = 8
    secret.write_text(json.dumps(ASKED | {"passwords": ["another-password"]}))
    assert bmcconfig.main([]) == 1
    assert bmcconfig.main(["x"]) == 2
    monkeypatch.delenv("MUSTER_SECRET_FILE")
    assert bmcconfig.main([]) == 0


def test_what_a_bmc_does_not_let_be_closed_stays_on_the_list(
    board: BoardBmc, tmp_path: Path
) -> None:
    board.read_only = (2, 4)
    report = run(tmp_path, ASKED)
    assert report.problem == ""
    assert not [text for text in report.changed if "IPMI 1.5" in text]
    assert any("authentication none" in text for text in report.weak)
    assert not any("authentication none" in text for text in report.closed)
    assert Channel(board, 1).ask_dhcp() == []


def test_no_user_is_made_where_its_name_alone_would_let_anybody_in(
    board: BoardBmc, tmp_path: Path
) -> None:
    board.read_only = (24,)
    assert "cipher suite 0 lets everybody in" in run(tmp_path, ASKED).problem
    assert "name" not in board.writes


def test_a_bmc_that_calls_every_password_right_is_not_believed(
    board: BoardBmc, tmp_path: Path
) -> None:
    board.believes_all = True
    first = run(tmp_path, ASKED)
    assert board.users[first.slot].password == PASSWORDS[0].encode()
    board.users[first.slot].password = b"changed by somebody"
    run(tmp_path, ASKED)
    assert board.users[first.slot].password == PASSWORDS[0].encode()
    board.writes.clear()
    # The server was let in with it: that is a better test than the BMC's own.
    known = run(tmp_path, ASKED | {"passwords": PASSWORDS[:1], "known": True})
    assert (known.password, known.changed, board.writes) == (0, [], [])
