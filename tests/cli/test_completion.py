"""TAB in a real shell: commands, options, and what the server has."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from tests.cli.conftest import Person

from muster.cli import completion

PROGRAM = Path(sysconfig.get_path("scripts")) / "muster"
BASH = """
source <(muster completion bash)
COMP_WORDS=({words}); COMP_CWORD={place}
_muster
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
# A terminal in which TAB is pressed: what is offered is told when the completion has ended.
ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PROMPT=; autoload -Uz compinit; compinit -D -u; source <(muster completion zsh)'
zpty -w shell 'typeset -a told; compadd() {{
  local -a found; builtin compadd -O found "$@"; told+=($found); builtin compadd "$@" }}'
zpty -w shell 'finish() {{ print -r -- "<""<${{(j: :)told}}>"">" }}; comppostfuncs=(finish)'
zpty -w -n shell 'muster {line}'$'\\t'
zpty -r shell said '*<<*>>*'
print -r -- "${{${{said##*<<}}%%>>*}}"
zpty -d shell
"""
FISH = """
muster completion fish | source
complete --do-complete "muster {line}"
"""
ASKED = {
    "bash": (["bash", "--norc", "-c"], BASH),
    "zsh": (["zsh", "-f", "-c"], ZSH),
    "fish": (["fish", "--no-config", "-c"], FISH),
}


@pytest.fixture(
    params=["bash", *(pytest.param(s, marks=pytest.mark.slow) for s in ("zsh", "fish"))]
)
def shell(request: pytest.FixtureRequest) -> str:
    """Each that is installed; tools/system-packages brings them."""
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


@pytest.fixture
def engine() -> str:
    """Nothing here is about the database."""
    return "sqlite"


def tab(shell: str, folder: Path, *words: str) -> list[str]:
    """What the shell offers at the end of the line."""
    quoted = " ".join(f"'{word}'" for word in ("muster", *words))
    command, script = ASKED[shell]
    script = script.format(words=quoted, place=len(words), line=" ".join(words))
    environment = {"HOME": str(folder), "PATH": f"{PROGRAM.parent}:/usr/bin:/bin"}
    done = subprocess.run(
        [*command, script], capture_output=True, text=True, env=environment, cwd=folder, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_commands_and_options_are_offered_without_a_server(shell: str, tmp_path: Path) -> None:
    assert tab(shell, tmp_path, "comm") == ["commission"]
    assert tab(shell, tmp_path, "machine", "no") == ["note", "notes"]
    assert tab(shell, tmp_path, "power", "web-1", "--") == ["--boot", "--no-wait", "--wait"]
    assert tab(shell, tmp_path, "power", "web-1", "--boot", "") == ["cd", "disk", "http", "pxe"]
    assert tab(shell, tmp_path, "commission", "we") == [], (
        "nobody is signed in, and nothing is said"
    )


@pytest.mark.slow
def test_names_are_those_of_the_server(shell: str, person: Person) -> None:
    home = person.folder
    for n, name in enumerate(("web-1", "web-2", "db-1")):
        person.gets("add", name, f"52:54:00:12:36:0{n}")
    person.gets("machine", "pool", "db-1", "lab")
    person.gets("tag", "add", "spare", "web-1")
    assert tab(shell, home, "commission", "we") == ["web-1", "web-2"]
    assert tab(shell, home, "commission", "web-1", "d") == ["db-1"]
    assert tab(shell, home, "power", "web-1", "o") == ["off", "on"]
    assert tab(shell, home, "machine", "pool", "web-1", "") == ["lab"]
    assert tab(shell, home, "machine", "pool", "web-1", "lab", "--also", "web-2", "db") == ["db-1"]
    assert tab(shell, home, "tag", "add", "sp") == ["spare"]
    assert tab(shell, home, "tag", "add", "spare", "web-2") == ["web-2"]
    assert "smartctl-validate" in tab(shell, home, "test", "web-1", "smart")
    assert tab(shell, home, "script", "show", "00-maas-01") == ["00-maas-01-lshw"]
    assert tab(shell, home, "abort", "nobody") == []


def test_each_shell_can_read_its_part(shell: str) -> None:
    done = subprocess.run(
        [shell, "-n"], input=completion.SCRIPTS[shell], text=True, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, "")
