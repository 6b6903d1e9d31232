import dataclasses
from pathlib import Path
from typing import Any

import pytest

from muster.server import commands
from muster.server import settings as module
from muster.server.settings import BadSettings, Settings, resolve


def write(folder: Path, text: str) -> Path:
    file = folder / "muster.toml"
    file.write_text(text)
    return file


@pytest.fixture(autouse=True)
def no_file_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "DEFAULT_FILE", tmp_path / "not-there.toml")


def test_without_anything_every_setting_is_its_default() -> None:
    found = resolve(file=None, environment={}, flags={})
    assert found.settings == Settings()
    assert set(found.origin.values()) == {"default"}


def test_the_file_gives_way_to_the_environment_and_that_to_the_flag(tmp_path: Path) -> None:
    file = write(tmp_path, 'listen = "a:1"\nenlist = "hold"\ndata = "/file"\n')
    environment = {"MUSTER_LISTEN": "b:2", "MUSTER_ENLIST": "deny", "MUSTER_SERVER": "not ours"}
    found = resolve(file=file, environment=environment, flags={"listen": "c:3", "enlist": None})
    assert (found.settings.listen, found.origin["listen"]) == ("c:3", "flag --listen")
    assert (found.settings.enlist, found.origin["enlist"]) == (
        "deny",
        "environment MUSTER_ENLIST",
    )
    assert (found.settings.data, found.origin["data"]) == ("/file", str(file))
    assert found.origin["url"] == "default"


def test_lists_are_lists_in_the_file_and_have_commas_elsewhere(tmp_path: Path) -> None:
    file = write(tmp_path, 'ntp_servers = ["10.0.0.1", "10.0.0.2"]')
    assert resolve(file=file, environment={}, flags={}).settings.ntp_servers == [
        "10.0.0.1",
        "10.0.0.2",
    ]
    found = resolve(file=None, environment={"MUSTER_NTP_SERVERS": "a, b,,"}, flags={})
    assert found.settings.ntp_servers == ["a", "b"]


def test_numbers_are_read_from_text_too() -> None:
    found = resolve(file=None, environment={"MUSTER_SILENCE_S": "7.5"}, flags={})
    assert found.settings.silence_s == 7.5
    found = resolve(file=None, environment={"MUSTER_OUTPUT_LIMIT": "4096"}, flags={})
    assert found.settings.output_limit == 4096


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('lisen = "x"', "no setting 'lisen'"),
        ("listen = 5", "listen=5: must be a text"),
        ('silence_s = "soon"', "silence_s='soon'"),
        ("silence_s = 0", "more than 0"),
        ("silence_s = -1", "more than 0"),
        ("commission_retries = -1", "at least 0"),
        ("silence_s = nan", "silence_s=nan"),
        ("silence_s = inf", "silence_s=inf"),
        ("output_limit = []", "output_limit=[]"),
        ("output_limit = 1.5", "output_limit=1.5"),
        ("output_limit = true", "output_limit=True"),
        ("ntp_servers = 5", "ntp_servers=5"),
        ('enlist = "maybe"', "one of accept, hold, deny"),
        ('dhcp = "yes"', "one of own, proxy, external, none"),
        ("listen = ", "not TOML"),
        ("[dhcp]\npool = 1", "dhcp={'pool': 1}"),
    ],
)
def test_a_wrong_line_of_the_file_is_named_with_the_file(
    tmp_path: Path, text: str, told: str
) -> None:
    file = write(tmp_path, text)
    with pytest.raises(BadSettings) as caught:
        resolve(file=file, environment={}, flags={})
    assert told in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_that_is_no_text_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "muster.toml").write_bytes(b"\xff\xfe")
    for file in (tmp_path / "muster.toml", tmp_path / "nowhere.toml", tmp_path):
        with pytest.raises(BadSettings, match=str(file)):
            resolve(file=file, environment={}, flags={})


@pytest.mark.parametrize(
    ("environment", "flags", "where"),
    [
        ({"MUSTER_DHCP": "maybe"}, {}, "environment MUSTER_DHCP"),
        ({}, {"output_limit": "many"}, "flag --output-limit"),
    ],
)
def test_a_wrong_value_elsewhere_names_where_it_came_from(
    environment: dict[str, str], flags: dict[str, Any], where: str
) -> None:
    with pytest.raises(BadSettings, match=where):
        resolve(file=None, environment=environment, flags=flags)


def test_every_setting_explains_itself() -> None:
    for field in dataclasses.fields(Settings):
        assert len(field.metadata["help"]) > 10, field.name


def test_images_are_in_the_data_folder_unless_they_are_elsewhere() -> None:
    assert module.images_folder(Settings(data="/d")) == Path("/d/images")
    assert module.images_folder(Settings(data="/d", images="/i")) == Path("/i")


def test_a_database_password_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.settings(flags=commands.Flags(database="postgresql://u:s3cret@h/db")) == 0
    shown = "".join(capsys.readouterr().out.split())
    assert "s3cret" not in shown
