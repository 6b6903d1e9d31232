import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from muster.server import commands, serve
from muster.server.settings import Settings, key_file


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command logs to a stream of its process; here that is a test's, and is closed after it."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    chosen = Settings(data=str(tmp_path / "data"))
    monkeypatch.setenv("MUSTER_DATA", chosen.data)
    return chosen


def test_the_first_start_makes_the_keys_and_the_command_changes_them(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    store = serve.open_store(settings)
    before = list(serve.open_keyring(settings, store).keys())
    assert commands.rotate_secrets() == 0
    said = capsys.readouterr().out
    assert said == f"0 secrets sealed anew, 1 old keys forgotten: key file {key_file(settings)}\n"
    assert list(serve.open_keyring(settings, store).keys()) != before


def test_a_server_whose_keys_are_gone_does_not_make_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = serve.open_store(settings)
    keyring = serve.open_keyring(settings, store)
    monkeypatch.setattr(serve.machines, "sealed", lambda _: {"m1": "aa:bb"})
    keyring.file.unlink()
    with pytest.raises(serve.KeyringError, match=r"restore it from its backup"):
        serve.open_keyring(settings, store)
    assert not keyring.file.exists()
    assert commands.rotate_secrets() == 1
