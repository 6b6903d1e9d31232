"""The rooms that travel: what a machine runs may need nothing but Python itself."""

import ast
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from muster.metadata import pack

SOURCE = Path(__file__).parents[2] / "src" / "muster"
ROOMS = ("agent", "collect", "wire", "machine")
FILES = [file for room in ROOMS for file in sorted((SOURCE / room).rglob("*.py"))]


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from names if node.module == "muster" else [node.module or ""]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_the_outbuilding_imports_only_itself_and_the_standard_library(file: Path) -> None:
    own = {f"muster.{room}" for room in ROOMS} | {"muster.__version__"}
    for name in imported(file):
        top = name.partition(".")[0]
        room = ".".join(name.split(".")[:2])
        assert top in sys.stdlib_module_names or room in own, f"{file} imports {name}"


def test_the_packed_agent_holds_these_rooms_and_nothing_else() -> None:
    names = zipfile.ZipFile(io.BytesIO(pack.packed())).namelist()
    rooms = {name.split("/")[1] for name in names if name.count("/") > 1}
    assert rooms == {"agent", "collect", "wire"}
    assert [name for name in names if name.count("/") < 2] == ["__main__.py", "muster/__init__.py"]


def test_the_packed_agent_is_the_same_bytes_in_every_process() -> None:
    program = (
        "import sys, hashlib; from muster.metadata import pack;"
        " print(hashlib.sha256(pack.packed()).hexdigest())"
    )
    sums = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": str(SOURCE.parent), "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Kathmandu"))
    }
    assert len(sums) == 1


def test_only_the_agent_s_own_bytes_change_the_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "ROOMS", ("wire",))
    assert len(pack.packed.__wrapped__()) < len(pack.packed())
