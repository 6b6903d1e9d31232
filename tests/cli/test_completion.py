"""TAB in a real shell: commands, options, and what the server has."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from tests.cli.conftest import Person

from muster.cli import completion

PROGRAM = Path(sysconfig.get_path("scripts")) / "muster"
ASK = """
source <({program} completion bash)
COMP_WORDS=({words}); COMP_CWORD={place}
_muster
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def engine() -> str:
    """Nothing here is about the database."""
    return "sqlite"


def tab(folder: Path, *words: str) -> list[str]:
    """What bash offers at the end of the line."""
    typed = " ".join(f"'{word}'" for word in (str(PROGRAM), *words))
    script = ASK.format(program=PROGRAM, words=typed, place=len(words))
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_commands_and_options_are_offered_without_a_server(tmp_path: Path) -> None:
    assert tab(tmp_path, "comm") == ["commission"]
    assert tab(tmp_path, "machine", "no") == ["note", "notes"]
    assert tab(tmp_path, "power", "web-1", "--") == ["--boot", "--no-wait", "--wait"]
    assert tab(tmp_path, "power", "web-1", "--boot", "") == ["cd", "disk", "http", "pxe"]
    assert tab(tmp_path, "commission", "we") == [], "nobody is signed in, and nothing is said"


@pytest.mark.slow
def test_names_are_those_of_the_server(person: Person) -> None:
    home = person.folder
    for n, name in enumerate(("web-1", "web-2", "db-1")):
        person.gets("add", name, f"52:54:00:12:36:0{n}")
    person.gets("machine", "pool", "db-1", "lab")
    person.gets("tag", "add", "spare", "web-1")
    assert tab(home, "commission", "we") == ["web-1", "web-2"]
    assert tab(home, "commission", "web-1", "d") == ["db-1"]
    assert tab(home, "power", "web-1", "o") == ["off", "on"]
    assert tab(home, "machine", "pool", "web-1", "") == ["lab"]
    assert tab(home, "machine", "pool", "web-1", "lab", "--also", "web-2", "db") == ["db-1"]
    assert tab(home, "tag", "add", "sp") == ["spare"]
    assert tab(home, "tag", "add", "spare", "web-2") == ["web-2"]
    assert "smartctl-validate" in tab(home, "test", "web-1", "smart")
    assert tab(home, "script", "show", "00-maas-01") == ["00-maas-01-lshw"]
    assert tab(home, "abort", "nobody") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_can_read_its_part(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run(
        [program, "-n"], input=completion.SCRIPTS[shell], text=True, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, "")
