"""The house measures that no linter holds: lengths, docstrings, names, and what never ships."""

import ast
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
FILES = sorted(
    file
    for top in ("src", "tests")
    for file in (HOUSE / top).rglob("*.py")
    if "migrations/versions" not in str(file)
)
ROOMS = sorted(path.parent.name for path in (HOUSE / "src" / "muster").glob("*/__init__.py"))

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HOUSE)))


def lines_of(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


@each_file
def test_nothing_is_longer_than_the_house_allows(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            assert lines_of(node) <= 300, f"class {node.name}, line {node.lineno}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert lines_of(node) <= 50, f"function {node.name}, line {node.lineno}"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_s_init_says_what_it_is_for_and_holds_no_code(room: str) -> None:
    tree = ast.parse((HOUSE / "src" / "muster" / room / "__init__.py").read_text())
    assert len(tree.body) == 1
    told = ast.get_docstring(tree)
    assert told is not None
    assert len(told.splitlines()) <= 12
    assert "Start reading at" in told


def test_no_room_has_a_name_that_says_nothing() -> None:
    names = {part for file in FILES for part in file.relative_to(HOUSE).with_suffix("").parts}
    assert not names & {"utils", "util", "common", "helpers", "helper", "manager", "misc", "core"}


def test_every_room_is_in_the_plan_of_the_house() -> None:
    plan = (HOUSE / "ARCHITECTURE.md").read_text()
    assert [room for room in ROOMS if not re.search(rf"\b{room}\b", plan)] == []


def test_no_two_files_of_tests_have_one_name() -> None:
    """Pytest imports them by it: the second is an error that a run of one folder does not show."""
    counts = Counter(file.name for file in FILES if file.name.startswith("test_"))
    assert [name for name, count in counts.items() if count > 1] == []


def test_every_test_is_named_by_a_sentence() -> None:
    names = [
        f"{file.relative_to(HOUSE)}: {node.name}"
        for file in FILES
        if file.name.startswith("test_")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("test_")
        # The cases of a table have names of their own.
        and not node.decorator_list
    ]
    assert [name for name in names if name.count("_") < 3] == []


def tracked() -> list[Path]:
    """What is in the repository, or would be with the next `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=HOUSE,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("no git here: this is a release")
    found = [HOUSE / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in found if path.is_file()]


# Written apart so that this file does not find itself.
BUILD_PATHS = ("/" + "work/", "/" + "tmp/w/")
REGISTRIES = tuple(
    f"{host}.{domain}"
    for host, domain in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry.npmjs", "org"),
        ("deb.debian", "org"),
        ("security.debian", "org"),
        ("archive.ubuntu", "com"),
        ("ports.ubuntu", "com"),
    )
)


@pytest.mark.parametrize("banned", [BUILD_PATHS, REGISTRIES], ids=["build paths", "registries"])
def test_no_file_names_the_machine_it_was_made_on(banned: tuple[str, ...]) -> None:
    found = [
        f"{path.relative_to(HOUSE)}: {word}"
        for path in tracked()
        for word in banned
        if word.encode() in path.read_bytes()
    ]
    assert found == []
