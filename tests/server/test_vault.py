"""The keys of BMC secrets in Vault, judged by a real OpenBao."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.server.openbao import ROOT, Bao, bao

from muster.lifecycle import vault
from muster.lifecycle.keyring import KeyringError
from muster.lifecycle.vault import Place, VaultKeyring
from muster.server.serve import keyring_of
from muster.server.settings import BadSettings, Settings

__all__ = ["bao"]
pytestmark = pytest.mark.slow


@pytest.fixture
def place(bao: Bao) -> Any:
    """An empty place, and a role for it."""
    yield Place(bao.url, role_id=bao.role_id, secret_id_file=str(bao.secret_id_file))
    bao.ask("DELETE", "secret/metadata/muster/keys")


def test_keys_are_made_once_and_every_server_reads_them(place: Place, bao: Bao) -> None:
    one, two = VaultKeyring(place), VaultKeyring(place)
    assert one.create()
    assert not two.create()
    sealed = one.seal({"power_pass": "hush"}, of="m1")
    assert "hush" not in sealed
    assert two.open(sealed, of="m1") == {"power_pass": "hush"}
    assert VaultKeyring(place).keys() == one.keys()
    kept = bao.ask("GET", "secret/data/muster/keys")["data"]
    assert kept["metadata"]["version"] == 1


def test_of_two_servers_that_start_at_once_one_makes_the_keys(place: Place) -> None:
    one, two = VaultKeyring(place), VaultKeyring(place)
    one._read()
    two._read()
    one.create()
    two._asked_at = None
    with pytest.raises(KeyringError, match="another server wrote first; try again"):
        two._write({"late": bytes(32)})
    assert two.create() is False
    assert two.keys() == one.keys()


def test_a_rotation_reaches_other_servers_and_leaves_no_old_key_in_the_history(
    place: Place, bao: Bao
) -> None:
    one, two = VaultKeyring(place), VaultKeyring(place)
    one.create()
    before = two.seal({"power_pass": "hush"}, of="m1")
    one.add_key()
    again = one.seal(one.open(before, of="m1"), of="m1")
    assert one.sealed_with_current(again)
    assert one.forget_old() == 1
    two._asked_at = None
    assert two.open(again, of="m1") == {"power_pass": "hush"}
    # What is sealed after a rotation is sealed with the key that stays.
    late = VaultKeyring(place)
    assert one.open(late.seal({"a": "b"}, of="m2"), of="m2") == {"a": "b"}
    assert one.open(two.seal({"a": "b"}, of="m2"), of="m2") == {"a": "b"}
    versions = bao.ask("GET", "secret/metadata/muster/keys")["data"]["versions"]
    assert [version["destroyed"] for version in versions.values()] == [True, True, False]


def test_a_token_in_a_file_does_as_well(place: Place, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{ROOT}\n")
    token.chmod(0o600)
    assert VaultKeyring(Place(place.url, token_file=str(token))).create()


def test_what_is_wrong_is_named_with_the_remedy_and_no_secret(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-secret-id")
    wrong.chmod(0o600)
    open_file = tmp_path / "open"
    open_file.write_text("x")
    open_file.chmod(0o644)
    monkeypatch.setattr(vault, "TIMEOUT_S", 1.0)
    for change, told in (
        ({"secret_id_file": str(wrong)}, "refuses (400): wrong role or secret id"),
        ({"path": "other/keys"}, "may not (403): give the role read and update"),
        ({"mount": "kv"}, "may not (403)"),
        ({"secret_id_file": str(open_file)}, f"others may read it; chmod 600 {open_file}"),
        ({"secret_id_file": str(tmp_path / "none")}, "No such file"),
        ({"url": "http://127.0.0.1:9"}, "cannot be used: "),
        ({"url": "https://127.0.0.1:9", "ca_file": str(open_file)}, "vault_ca_file"),
    ):
        with pytest.raises(KeyringError) as refusal:
            VaultKeyring(dataclasses.replace(place, **change)).create()
        assert told in str(refusal.value), change
        assert "not-the-secret-id" not in str(refusal.value)


def test_keys_that_are_gone_are_told(place: Place) -> None:
    with pytest.raises(KeyringError, match="has no keys; restore them from Vault's backup"):
        VaultKeyring(place).keys()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"vault_url": "http://vault:8200"}, "must be https"),
        ({"vault_url": "https://vault:8200"}, "needs vault_role_id and vault_secret_id_file"),
        ({"vault_url": "https://v", "vault_role_id": "r"}, "needs vault_role_id and"),
    ],
)
def test_settings_that_do_not_fit_are_refused(given: dict[str, str], told: str) -> None:
    with pytest.raises(BadSettings, match=told):
        keyring_of(Settings(**given))
