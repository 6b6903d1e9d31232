import base64
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rack import Rack

from muster.lifecycle import switches
from muster.lifecycle.keyring import Keyring, KeyringError
from muster.store import hosts
from muster.store.hosts import Host


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(KeyringError) as refused:
        work()
    return str(refused.value)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.dictionaries(st.text(max_size=20), st.text(max_size=60), max_size=4), of=st.text())
def test_what_was_sealed_opens_again_and_holds_no_word_of_it(
    keyring: Keyring, values: dict[str, str], of: str
) -> None:
    sealed = keyring.seal(values, of=of)
    assert keyring.open(sealed, of=of) == values
    assert sealed == "" if not values else re.fullmatch(r"[0-9a-f]{8}:[A-Za-z0-9+/=]+", sealed)


def test_the_same_secret_never_looks_the_same(keyring: Keyring) -> None:
    assert len({keyring.seal({"power_pass": "hush"}, of="m1") for _ in range(50)}) == 50


def test_a_secret_copied_to_another_machine_does_not_open(keyring: Keyring) -> None:
    sealed = keyring.seal({"power_pass": "hush"}, of="m1")
    told = refusal(lambda: keyring.open(sealed, of="m2"))
    assert told.startswith("the sealed secrets of m2 are damaged or belong to another machine")


def test_one_changed_bit_anywhere_is_noticed(keyring: Keyring) -> None:
    key, _, text = keyring.seal({"power_pass": "hush"}, of="m1").partition(":")
    raw = base64.b64decode(text)
    for place in range(len(raw)):
        changed = bytes([*raw[:place], raw[place] ^ 1, *raw[place + 1 :]])
        damaged = f"{key}:{base64.b64encode(changed).decode()}"
        assert "damaged" in refusal(lambda damaged=damaged: keyring.open(damaged, of="m1"))


def test_the_key_file_is_for_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = Keyring(tmp_path / "keys" / "secrets.key")
        assert (made.create(), made.create()) == (True, False)
        made.add_key()
    finally:
        os.umask(before)
    assert made.file.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in made.file.parent.iterdir()] == ["secrets.key"]


def test_a_key_file_that_others_may_read_is_refused_with_the_remedy(keyring: Keyring) -> None:
    keyring.file.chmod(0o640)
    told = refusal(keyring.keys)
    assert told == f"key file {keyring.file}: others may read it; chmod 600 {keyring.file}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("nonsense\n", "line 1 is no key"),
        (f"aa {base64.b64encode(bytes(32)).decode()}\nbb c2hvcnQ=\n", "line 2 is no key"),
        ("\xff\xfe", "line 1 is no key"),
    ],
)
def test_a_key_file_that_is_none_is_refused(keyring: Keyring, text: str, why: str) -> None:
    keyring.file.write_text(text)
    keyring.file.chmod(0o600)
    assert why in refusal(Keyring(keyring.file).keys)


def test_a_missing_key_file_or_key_is_told_with_the_remedy(keyring: Keyring) -> None:
    sealed = keyring.seal({"power_pass": "hush"}, of="m1")
    keyring.file.unlink()
    assert "restore it from its backup" in refusal(lambda: keyring.open(sealed, of="m1"))
    keyring.create()
    told = refusal(lambda: keyring.open(sealed, of="m1"))
    assert "has no key" in told
    assert "give the machine's power parameters again" in told


def set_password(rack: Rack, name: str, password: str) -> None:
    given = {"name": name, "power_pass": password}
    switches.set_switch(rack.store, rack.keyring, name, "fake", given, actor="a", now=rack.now())


def password(rack: Rack, name: str, keyring: Keyring) -> str:
    return switches.parameters_of(keyring, rack.machine(name))["power_pass"]


def rotate(rack: Rack, keyring: Keyring) -> tuple[int, int]:
    return switches.rotate(rack.store, keyring, actor="ada", now=rack.now())


def test_a_rotation_seals_all_anew_and_forgets_the_old_key(rack: Rack) -> None:
    one, two = (rack.arrive(uuid="", macs=[f"52:54:00:00:00:0{n}"])[1].machine for n in (1, 2))
    set_password(rack, one, "hush")
    set_password(rack, two, "quiet")
    before = list(rack.keyring.keys())
    # Another process: it reads the file for itself.
    assert rotate(rack, Keyring(rack.keyring.file)) == (2, 1)
    assert list(rack.keyring.keys()) != before
    assert len(rack.keyring.keys()) == 1
    assert [password(rack, name, rack.keyring) for name in (one, two)] == ["hush", "quiet"]


@pytest.mark.parametrize("step", ["add_key", "seal", "forget_old"])
def test_a_rotation_that_dies_anywhere_loses_nothing_and_can_be_done_again(
    rack: Rack, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    name = rack.arrive()[1].machine
    set_password(rack, name, "hush")
    real = getattr(Keyring, step)

    def die(self: Keyring, *words: object, **more: object) -> None:
        if step == "add_key":
            real(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(Keyring, step, die)
    with pytest.raises(KeyboardInterrupt):
        rotate(rack, rack.keyring)
    monkeypatch.undo()
    assert password(rack, name, Keyring(rack.keyring.file)) == "hush"
    rotate(rack, rack.keyring)
    assert password(rack, name, Keyring(rack.keyring.file)) == "hush"
    assert len(rack.keyring.keys()) == 1


def test_secrets_set_while_keys_rotate_are_never_lost(rack: Rack, together) -> None:
    name = rack.arrive()[1].machine
    theirs = Keyring(rack.keyring.file)

    def set_many() -> None:
        for number in range(15):
            set_password(rack, name, f"secret-{number}")

    together(set_many, lambda: [rotate(rack, theirs) for _ in range(8)])
    assert password(rack, name, rack.keyring) == "secret-14"


def test_a_rotation_seals_the_secrets_of_hosts_too(rack: Rack) -> None:
    sealed = rack.keyring.seal({"key": "hush"}, of="h1")
    host = Host("h1", "lxd1", "lxd", {}, sealed, {}, "", None, None, rack.now(), rack.now())
    with rack.store.write() as tx:
        hosts.add(tx, host)
    assert rotate(rack, rack.keyring) == (1, 1)
    with rack.store.read() as tx:
        again = hosts.find(tx, "lxd1")
    assert again.secret != sealed
    assert rack.keyring.open(again.secret, of="h1") == {"key": "hush"}
