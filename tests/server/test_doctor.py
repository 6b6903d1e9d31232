import shutil
import socket
from pathlib import Path

import pytest
from tests.server.process import muster
from tests.server.shelf import stocked

from muster.images.library import Library
from muster.server import doctor
from muster.server.doctor import examine
from muster.server.settings import Settings


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return stocked(tmp_path)


def found(tmp_path: Path, **words: object) -> dict[str, tuple[str, str]]:
    images = {"images": str(tmp_path / "shelf")} if (tmp_path / "shelf").exists() else {}
    given = {"data": str(tmp_path), "listen": "127.0.0.1:0"} | images | words
    settings = Settings(**given)  # type: ignore[arg-type]
    return {finding.what: (finding.verdict, finding.said) for finding in examine(settings)}


def test_on_a_good_machine_every_check_is_well(tmp_path: Path, library: Library) -> None:
    told = found(tmp_path)
    assert told["image"] == ("ok", "bookworm amd64, kernel 6.1.0-test, every file verified")
    assert {verdict for what, (verdict, _) in told.items() if what != "interface"} <= {
        "ok",
        "warning",
    }


def test_every_finding_that_is_wrong_names_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        told = found(tmp_path, listen=listen, interface="nosuch0")
    assert told["image"] == ("wrong", "none: run 'muster image build'")
    assert told["http port"][0] == "wrong"
    assert "setting: listen" in told["http port"][1]
    assert told["interface"][0] == "wrong"
    assert "this machine has:" in told["interface"][1]


def test_a_damaged_image_is_found(tmp_path: Path, library: Library) -> None:
    image = library.current()
    assert image is not None
    kernel = library.blob(image.files["kernel"].sha256)
    kernel.chmod(0o644)
    kernel.write_bytes(b"x" * 700)
    verdict, said = found(tmp_path)["image"]
    assert verdict == "wrong"
    assert "kernel" in said
    (library.root / "current").resolve().write_text("{")
    verdict, said = found(tmp_path)["image"]
    assert verdict == "wrong"
    assert "muster image build" in said


@pytest.mark.parametrize("listen", ["127.0.0.1:99999", "nonsense", "127.0.0.1:"])
def test_a_listen_address_that_cannot_be_is_a_finding(tmp_path: Path, listen: str) -> None:
    assert found(tmp_path, listen=listen)["http port"][0] == "wrong"


def test_a_missing_tool_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    told = found(tmp_path, dhcp="own")["tools"]
    assert told == ("wrong", "missing: apt-get install iproute2 dnsmasq-base")


def test_a_clock_in_the_past_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Past(doctor.datetime):
        @classmethod
        def now(cls, *_: object) -> "Past":
            return cls(1970, 1, 1)

    monkeypatch.setattr(doctor, "datetime", Past)
    assert found(tmp_path)["clock"] == (
        "wrong",
        "this machine believes it is 1970-01-01: set the clock",
    )


@pytest.mark.slow
def test_the_command_fails_when_something_is_wrong_and_says_what(tmp_path: Path) -> None:
    done = muster(tmp_path, "doctor", "--data", str(tmp_path), "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert "image: none: run 'muster image build'" in done.stdout
    assert "127.0.0.1:0 is free" in done.stdout
