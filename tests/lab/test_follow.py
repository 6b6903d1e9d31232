import threading
from pathlib import Path

import pytest

from muster.lab.follow import growth, plain


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x1b[2J\x1b[01;01H\x1b[=3h>>Start PXE\r\n", ">>Start PXE\n"),
        (b"\x1b]0;evil title\x07login:", "login:"),
        (b"\x1b(Bok\x1b=\x00\x7f\ttab", "ok\ttab"),
        ("Überlänge\xff".encode("latin-1"), "\ufffdberl\ufffdnge\ufffd"),
    ],
)
def test_terminal_codes_of_a_guest_are_taken_out(raw: bytes, text: str) -> None:
    assert plain(raw) == text


def test_growth_gives_what_is_there_and_what_comes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"first")
    chunks = growth(log, limit_s=30)
    assert next(chunks) == b"first"
    writer = threading.Thread(target=append, args=(log, b"second"))
    writer.start()
    assert next(chunks) == b"second"
    writer.join()


def test_growth_ends_at_its_limit_and_when_the_file_goes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"all")
    assert list(growth(log, limit_s=0.01)) == [b"all"]
    chunks = growth(log, limit_s=30)
    assert next(chunks) == b"all"
    log.unlink()
    assert list(chunks) == []


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
