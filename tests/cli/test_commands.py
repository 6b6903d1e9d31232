"""The commands of a person, each as a process against a real server."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.api.desk import UUID, resources, story
from tests.cli.conftest import Person
from tests.server.running import wait_for

EVIL = "evil\x1b[2J\x1b]0;owned\x07\u202eabc[bold red]"


@pytest.mark.slow
def test_signing_in_keeps_a_key_that_only_its_owner_can_read(stranger: Person) -> None:
    assert (
        "wrong user name or password"
        in stranger.types("login", stranger.server.url, "--password-stdin", stdin="guess\n").stderr
    )
    stranger.signs_in()
    file = stranger.folder / ".config/muster/credentials.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert set(json.loads(file.read_text())) == {"server", "key"}
    assert stranger.password not in file.read_text()
    assert "no machines yet" in stranger.gets("machines")
    stranger.gets("logout")
    assert not file.exists()
    assert "muster login" in stranger.told_no("machines")


@pytest.mark.slow
def test_a_key_from_the_environment_is_used_and_a_wrong_one_named(stranger: Person) -> None:
    key = stranger.desk.keys["viewer"]
    words = {"MUSTER_SERVER": stranger.server.url, "MUSTER_KEY": key}
    assert "no machines yet" in stranger.gets("machines", **words)
    told = stranger.told_no("machines", **(words | {"MUSTER_KEY": "muster_guess"}))
    assert "unknown or revoked API key" in told


@pytest.mark.slow
def test_a_machine_s_life_as_a_person_sees_it(person: Person) -> None:
    welcome = person.desk.enlist()
    name = welcome["machine"]
    person.desk.events(welcome["token"], story(welcome, document=resources()))
    assert name in person.gets("machines")
    shown = person.gets("show", name)
    assert f"{name} is New" in shown
    assert UUID in shown
    assert "passed" in shown
    (listed,) = json.loads(person.gets("machines", "--output", "json"))
    assert listed["name"] == name
    whole = json.loads(person.gets("show", name, "--output", "json"))
    assert whole["runs"][0]["state"] == "passed"

    assert "Commissioning: run " in person.gets("commission", name)
    assert "Commissioning" in person.gets("machines")
    assert "409" not in (told := person.told_no("commission", name))
    assert "Commissioning" in told
    assert f"{name}: New: aborted by admin" in person.gets("abort", name)
    assert "web-1: New" in person.gets("rename", name, "web-1")
    assert "--yes" in person.told_no("delete", "web-1")
    assert "web-1: done" in person.gets("delete", "web-1", "--yes")
    assert "no machine has the id or name 'web-1'" in person.told_no("show", "web-1")
    events = person.gets("events", "--kind", "machine.")
    assert f"{name} enlisted itself" in events
    assert "web-1 was deleted [admin]" in events


def in_state(person: Person, name: str, state: str) -> bool:
    return bool(person.desk.get(f"/machines/{name}")["state"] == state)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("document", "end", "status"),
    [(resources(), "Ready", 0), (b"no document", "Failed commissioning", 1)],
)
def test_watching_a_commissioning_stays_until_its_end_and_tells_it(
    person: Person, document: bytes, end: str, status: int
) -> None:
    name = person.desk.enlist()["machine"]
    with ThreadPoolExecutor(max_workers=1) as elsewhere:
        watching = elsewhere.submit(person.types, "commission", name, "--watch")
        wait_for(lambda: in_state(person, name, "Commissioning"))
        welcome = person.desk.enlist()
        person.desk.events(welcome["token"], story(welcome, document=document))
        done = watching.result()
    assert done.returncode == status, done.stderr
    assert f"{name}: {end}: " in done.stdout


@pytest.mark.slow
def test_a_key_goes_to_no_other_server(person: Person) -> None:
    """A second address of the same server stands for another server."""
    other = person.server.url.replace("127.0.0.1", "localhost")
    told = person.told_no("machines", MUSTER_SERVER=other)
    assert "needs an API key" in told


@pytest.mark.slow
def test_logs_are_the_script_s_own_bytes(person: Person) -> None:
    welcome = person.desk.enlist()
    name = welcome["machine"]
    assert "has run nothing yet" not in person.gets("logs", name)
    person.desk.events(welcome["token"], story(welcome, document=resources()))
    script = welcome["scripts"][0]["name"]
    done = person.types("logs", name, script, "--follow")
    assert done.returncode == 0
    assert done.stdout.encode(errors="surrogateescape") == b"\x00\xffhello\n"
    assert "has no script 'nonsense'; it has: " in person.told_no("logs", name, "nonsense")
    every = person.gets("logs", name)
    assert f"--- {script} (result" in every


@pytest.mark.slow
def test_a_server_that_is_away_is_named(person: Person) -> None:
    person.server.stop()
    told = person.told_no("machines")
    assert f"{person.server.url} does not answer" in told


@pytest.mark.slow
@pytest.mark.parametrize("address", ["nonsense", "ftp://x", "http://", "http://127.0.0.1:1"])
def test_an_address_that_is_no_server_is_named(stranger: Person, address: str) -> None:
    told = stranger.types("login", address, "--password-stdin", stdin="x\n")
    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    assert address.rstrip("/") in told.stderr


@pytest.mark.slow
def test_hostile_texts_of_a_machine_do_nothing_to_the_terminal(person: Person) -> None:
    nonce = person.desk.boot()
    evidence = {"uuid": UUID, "serial": EVIL, "vendor": EVIL, "product": EVIL}
    name = person.desk.hello(nonce, evidence=evidence).json()["machine"]
    person.desk.ask("POST", f"/machines/{name}/deny", json={"reason": EVIL})
    outputs = [
        person.gets("machines"),
        person.gets("show", name),
        person.gets("boots"),
        person.gets("events"),
        person.gets("accept", name),
        person.told_no("rename", name, EVIL),
    ]
    told = "".join(outputs)
    assert "evil" in told
    assert "[bold red]" in told
    for sign in "\x1b\x07\u202e":
        assert sign not in told


@pytest.mark.slow
def test_every_command_has_help(person: Person) -> None:
    text = person.gets("--help")
    for command in ("serve", "doctor", "login", "machines", "commission", "logs", "lab"):
        assert command in text


def test_fields_are_shown_as_they_were_asked_for(person: Person) -> None:
    name = person.desk.enlist()["machine"]
    words = ("machines", "--fields", "name,state,macs,hardware.memory")
    csv = person.gets(*words, "-o", "csv").splitlines()
    assert csv == ["name,state,macs,hardware.memory", f"{name},New,52:54:00:12:34:01,"]
    assert json.loads(person.gets(*words, "-o", "json"))[0]["macs"] == ["52:54:00:12:34:01"]
    assert name in person.gets(*words)
    assert "there is no 'nmae'" in person.told_no("machines", "--fields", "nmae")
