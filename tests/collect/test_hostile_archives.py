"""Archives come from strangers: whatever is in one, nothing leaves the folder, all is bounded."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest
import trees
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muster.collect import archive
from muster.collect.archive import BadArchive, unpack
from muster.collect.capture import capture
from muster.collect.document import document


def packed(*members: tuple[str, bytes | str | int]) -> bytes:
    """A tar.gz; bytes are a file, text is a link's target, a number is another type of member."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
                continue
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.type, info.linkname = str(content).encode(), "etc/passwd"
            tar.addfile(info)
    return out.getvalue()


HARD_LINK, DEVICE, FIFO = 1, 3, 6


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"no archive", "is damaged or no tar.gz"),
        (b"", "is damaged or no tar.gz"),
        (gzip.compress(b"no tar" * 200), "is damaged or no tar.gz"),
        (packed(("../out", b"x")), "must be a path inside"),
        (packed(("/etc/passwd", b"x")), "must be a path inside"),
        (packed(("a/../../out", b"x")), "must be a path inside"),
        (packed(("a/" * 50 + "b", b"x")), "longer than a path"),
        (packed(("a" * 1100, b"x")), "longer than a path"),
        (packed(("a", "/etc/passwd")), "points out"),
        (packed(("a", "../etc/passwd")), "points out"),
        (packed(("a/b", "c/../../../x")), "points out"),
        (packed(("a", "")), "its target is no path"),
        (packed(("a", "b"), ("a/x", b"x")), "is there twice"),
        (packed(("a/x", "b"), ("a", "b")), "is inside of what is a link"),
        (packed(("a", "b"), ("a/x", "b")), "is inside of what is a link"),
        (packed(("a", b"x"), ("a/x", b"x")), "is inside of what is a file"),
        (packed(("a", b"x"), ("a", b"y")), "is there twice"),
        (packed(("a/b", b"x"), ("a", b"y")), "is there twice"),
        (packed(("a", HARD_LINK)), "neither file, folder nor"),
        (packed(("a", DEVICE)), "neither file, folder nor"),
        (packed(("a", FIFO)), "neither file, folder nor"),
        (packed(("a", b"x" * 5000))[:-60], "is damaged or no tar.gz"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hostile_archive_is_refused(data: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match=why):
        unpack(data, tmp_path / "in" / "side")
    assert {place.name for place in tmp_path.iterdir()} <= {"in"}


@pytest.mark.parametrize(
    ("limit", "most", "why"),
    [
        ("ARCHIVE_LIMIT", 10, "the limit is 10"),
        ("UNPACKED_LIMIT", 20_000, "unpacks to more than 20000 bytes"),
        ("MEMBERS_LIMIT", 2, "has more than 2 members"),
    ],
)
def test_an_archive_that_is_a_bomb_is_refused_before_it_is_unpacked(
    limit: str, most: int, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, limit, most)
    bomb = packed(("a", b"x"), ("b", b"x"), ("c", bytes(1_000_000)))
    with pytest.raises(BadArchive, match=why):
        unpack(bomb, tmp_path)
    assert sum(place.stat().st_size for place in tmp_path.iterdir()) <= most


NAMES = st.text("ab./\0", max_size=12)
CONTENTS = st.one_of(
    st.binary(max_size=20), st.text("ab./", max_size=12), st.sampled_from([1, 3, 5, 6])
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(members=st.lists(st.tuples(NAMES, CONTENTS), max_size=6))
def test_whatever_an_archive_names_nothing_appears_outside(
    members: list[tuple[str, bytes | str | int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    root = outside / "in" / "side"
    try:
        unpack(packed(*members), root)
        document(root)
    except BadArchive:
        pass
    made = [place for place in outside.rglob("*") if root not in (place, *place.parents)]
    assert made in ([], [outside / "in"])
    for place in root.rglob("*") if root.exists() else ():
        assert os.path.normpath(place.parent / place.name).startswith(str(root))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An archive of a small machine, unpacked: damage should hit tar, not gzip's checksum."""
    root = trees.plant(tmp_path_factory.mktemp("m"), {"/proc/meminfo": "MemTotal: 1 kB\n"})
    return gzip.decompress(capture(str(root), redact=False))


@settings(deadline=None)
@given(data=st.data())
def test_a_damaged_archive_is_refused_or_read(
    data: st.DataObject, sound: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    root = tmp_path_factory.mktemp("damaged")
    try:
        unpack(gzip.compress(bytes(damaged), 1), root)
    except BadArchive:
        return
    assert document(root)["api_version"] == "1.0"
