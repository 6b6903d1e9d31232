import os
from pathlib import Path

import pytest

from muster.lab import folder
from muster.lab.client import Lab
from muster.lab.errors import AlreadyUp, CannotStart, NotUp


def test_the_folder_is_in_the_runtime_directory() -> None:
    assert folder.default_folder("a", {}) == Path("/run/muster-lab/a")
    assert folder.default_folder("a", {"XDG_RUNTIME_DIR": "/run/user/7"}) == Path(
        "/run/user/7/muster-lab/a"
    )


@pytest.mark.parametrize("name", ["", "A", "../up", "a b", "1", "a" * 32, "a\n"])
def test_a_lab_name_that_is_no_plain_word_is_refused(name: str) -> None:
    with pytest.raises(CannotStart, match="lab name"):
        folder.check_name(name)


def test_a_folder_with_other_peoples_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CannotStart, match="something else"):
        folder.make(tmp_path)


def test_a_folder_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="unix socket"):
        folder.make(tmp_path / ("x" * 100))


def test_a_held_lock_is_refused_at_once_and_free_again_after(tmp_path: Path) -> None:
    with folder.locked(tmp_path), pytest.raises(AlreadyUp, match="already runs"):
        folder.locked(tmp_path).__enter__()
    with folder.locked(tmp_path) as fd:
        assert os.fstat(fd).st_ino == (tmp_path / folder.LOCK).stat().st_ino


def test_remove_deletes_the_lab_and_names_what_is_not_its_own(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    folder.make(lab)
    (lab / "machines" / "m1").mkdir(parents=True)
    (lab / "lab.json").write_text("{}")
    (lab / "notes.txt").write_text("mine")
    with folder.locked(lab):
        assert folder.remove(lab) == ["notes.txt"]
    assert [entry.name for entry in lab.iterdir()] == ["notes.txt"]


def test_remove_follows_no_symbolic_link(tmp_path: Path) -> None:
    precious, lab = tmp_path / "precious", tmp_path / "lab"
    precious.mkdir()
    (precious / "file").write_text("kept")
    folder.make(lab)
    (lab / "data").symlink_to(precious)
    with folder.locked(lab):
        assert folder.remove(lab) == []
    assert (precious / "file").read_text() == "kept"
    assert not lab.exists()


def test_a_lab_that_is_not_there_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(NotUp, match=r"no lab runs in .*muster lab up"):
        Lab.load(tmp_path)
    (tmp_path / "lab.json").write_text("{}")
    with pytest.raises(NotUp, match="has died"):
        Lab.load(tmp_path)
