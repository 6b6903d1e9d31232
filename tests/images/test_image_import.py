"""Stock images from a simplestreams mirror that the test serves and signs, and from local files."""

import errno
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.images.conftest import Shop
from tests.images.mirror import PRODUCTS, Key, Mirror

from muster.__main__ import app
from muster.images import fetch as fetching
from muster.images import importing, streams
from muster.images.errors import FetchError, LibraryError, StreamError
from muster.images.fetch import fetch
from muster.images.library import Library
from muster.images.manifest import FileEntry


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Key]:
    made = Key(tmp_path_factory.mktemp("key") / "home")
    yield made
    made.close()


@pytest.fixture
def mirror(tmp_path: Path, key: Key, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setattr(fetching, "_PAUSE_S", 0.0)
    served = Mirror(tmp_path / "mirror")
    served.publish(["20260101", "20260201"], key=key, releases=("noble", "jammy"))
    yield served
    served.server.shutdown()
    served.server.server_close()


@pytest.fixture
def stocked(library: Library, shop: Shop) -> Library:
    library.add(*shop.image())
    library.use(library.all()[0].id)
    return library


def chosen(mirror: Mirror, key: Key, **words: str) -> streams.Offered:
    there = streams.offered(mirror.url, key.keyring)
    return streams.choose(there, **({"release": "noble", "arch": "amd64", "kernel": ""} | words))


def silent(_: str) -> None:
    return


def test_releases_and_architectures_stand_beside_each_other_and_ours_stays_in_use(
    mirror: Mirror, key: Key, stocked: Library
) -> None:
    ours = stocked.in_use()
    for release, arch in (("noble", "amd64"), ("noble", "arm64"), ("jammy", "amd64")):
        offered = chosen(mirror, key, release=release, arch=arch)
        image = importing.import_offered(stocked, offered, progress=silent)
        assert stocked.verify(image.id) == []
        assert stocked.get(image.id) == image
        kernel = stocked.blob(image.files["kernel"].sha256).read_text()
        assert kernel.startswith(f"{release}/{arch}/20260201/boot-kernel\n")
    assert stocked.in_use() == ours
    assert {(i.suite, i.arch) for i in stocked.all() if i.origin} == {
        ("noble", "amd64"),
        ("noble", "arm64"),
        ("jammy", "amd64"),
    }
    assert not list((stocked.root / "downloads").iterdir())


def test_what_is_here_already_is_not_fetched_again(
    mirror: Mirror, key: Key, stocked: Library
) -> None:
    offered = chosen(mirror, key)
    first = importing.import_offered(stocked, offered, progress=silent)
    mirror.asked.clear()
    assert importing.import_offered(stocked, offered, progress=silent) == first
    assert mirror.asked == []
    stocked.blob(first.files["squashfs"].sha256).unlink()
    importing.import_offered(stocked, offered, progress=silent)
    assert stocked.verify(first.id) == []


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no-ranges"])
def test_a_connection_that_breaks_is_gone_on_with(
    mirror: Mirror, key: Key, stocked: Library, ranges: bool
) -> None:
    mirror.ranges = ranges
    path = "noble/amd64/20260201/squashfs"
    mirror.cuts = [path]
    image = importing.import_offered(stocked, chosen(mirror, key), progress=silent)
    assert stocked.verify(image.id) == []
    half = image.files["squashfs"].size // 2
    assert [r for p, r in mirror.asked if p == path] == ["", f"bytes={half}-"]


def test_a_part_from_an_earlier_command_is_gone_on_with(
    mirror: Mirror, key: Key, stocked: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = chosen(mirror, key)
    url, entry = offered.files["squashfs"]
    path = url.removeprefix(mirror.url)
    whole = (mirror.folder / path).read_bytes()
    (mirror.folder / path).rename(mirror.folder / "away")
    with pytest.raises(FetchError, match="HTTP 404"):
        importing.import_offered(stocked, offered, progress=silent)
    part = stocked.root / "downloads" / entry.sha256
    part.write_bytes(whole[:1000])
    (mirror.folder / "away").rename(mirror.folder / path)
    image = importing.import_offered(stocked, offered, progress=silent)
    assert mirror.asked[-1] == (path, "bytes=1000-")
    assert stocked.verify(image.id) == []


def test_wrong_bytes_are_named_not_kept_and_not_taken_in(
    mirror: Mirror, key: Key, stocked: Library
) -> None:
    offered = chosen(mirror, key)
    before = stocked.all()
    for spoiled in (b"x", b"noble/" * 100_000):
        mirror.put(
            "noble/amd64/20260201/boot-initrd", spoiled.ljust(offered.files["initrd"][1].size, b"x")
        )
        with pytest.raises(FetchError, match="its index says") as caught:
            importing.import_offered(stocked, offered, progress=silent)
        assert "boot-initrd" in str(caught.value)
        part = stocked.root / "downloads" / offered.files["initrd"][1].sha256
        assert not part.exists()
        assert stocked.all() == before


def test_a_server_that_is_gone_is_said_with_what_is_kept(
    mirror: Mirror, key: Key, stocked: Library
) -> None:
    offered = chosen(mirror, key)
    size = offered.files["kernel"][1].size
    mirror.server.shutdown()
    mirror.server.server_close()
    with pytest.raises(FetchError, match=f"0 of {size} bytes are kept: the same command"):
        importing.import_offered(stocked, offered, progress=silent)


def test_a_full_disk_is_named_before_and_while_fetching(
    mirror: Mirror, key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, entry = chosen(mirror, key).files["squashfs"]
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
        with pytest.raises(FetchError, match=r"is full: .*make room"):
            fetch(url, entry, tmp_path / "downloads", silent)
    assert [path for path, _ in mirror.asked if path.endswith("squashfs")] == []

    def full(_: object) -> Iterator[bytes]:
        yield b"nobl"
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fetching, "_chunks", full)
        with pytest.raises(FetchError, match="what was fetched is kept"):
            fetch(url, entry, tmp_path / "downloads", silent)
    assert fetch(url, entry, tmp_path / "downloads", silent).stat().st_size == entry.size


def test_a_second_import_of_the_same_file_is_refused(
    mirror: Mirror, key: Key, tmp_path: Path
) -> None:
    url, entry = chosen(mirror, key).files["kernel"]

    def again(_: str) -> None:
        with pytest.raises(FetchError, match="another import"):
            fetch(url, entry, tmp_path, silent)

    assert fetch(url, entry, tmp_path, again).stat().st_size == entry.size


def test_old_versions_go_and_the_one_in_use_stays(
    mirror: Mirror, key: Key, stocked: Library
) -> None:
    versions = ["20260101", "20260201", "20260301", "20260401"]
    mirror.publish(versions, key=key, releases=("noble",))
    images = [
        importing.import_offered(stocked, chosen(mirror, key, version=v), progress=silent)
        for v in versions
    ]
    other = importing.import_offered(stocked, chosen(mirror, key, arch="arm64"), progress=silent)
    stocked.use(images[0].id)
    removed = importing.prune(stocked, images[0].product, keep=2)
    assert removed == [images[1]]
    left = {image.id for image in stocked.all()}
    assert {images[0].id, images[2].id, images[3].id, other.id} <= left
    assert all(stocked.verify(image) == [] for image in left)


def test_only_what_a_key_of_ours_signed_is_read(mirror: Mirror, key: Key, tmp_path: Path) -> None:
    signed = (mirror.folder / PRODUCTS).read_bytes()
    mirror.put(PRODUCTS, signed.replace(b'"noble"', b'"nable"'))
    with pytest.raises(StreamError, match=r"signature is not good .*BAD signature"):
        streams.offered(mirror.url, key.keyring)
    mirror.put(PRODUCTS, b'{"products": {}}')
    with pytest.raises(StreamError, match="signature is not good"):
        streams.offered(mirror.url, key.keyring)
    stranger = Key(tmp_path / "stranger")
    try:
        with pytest.raises(StreamError, match=r"signature is not good .*No public key"):
            streams.offered(mirror.url, stranger.keyring)
    finally:
        stranger.close()
    with pytest.raises(StreamError, match="apt-get install ubuntu-keyring"):
        streams.offered(mirror.url, tmp_path / "none.gpg")
    with pytest.raises(FetchError, match="HTTP 404"):
        streams.offered(f"{mirror.url}elsewhere", key.keyring)


def test_text_around_the_signed_part_does_not_count(key: Key) -> None:
    signed = key.sign(b'{"index": {}}')
    assert streams.verified(signed, key.keyring, "x").strip() == b'{"index": {}}'
    around = b'{"index": {"evil": {}}}\n' + signed + b'\n{"more": 1}\n'
    assert b"evil" not in streams.verified(around, key.keyring, "x")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"release": "xenial"}, "no xenial for amd64; it has jammy/amd64, jammy/arm64, noble/"),
        ({"kernel": "hwe-9"}, "no kernel hwe-9; it has ga-1"),
        ({"version": "1"}, "no version 1; it has 20260101, 20260201"),
    ],
)
def test_what_is_not_offered_is_refused_with_what_is(
    mirror: Mirror, key: Key, words: dict[str, str], told: str
) -> None:
    with pytest.raises(StreamError, match=re.escape(told)):
        chosen(mirror, key, **words)


@pytest.mark.parametrize(
    "change",
    [
        {"path": "../../etc/passwd"},
        {"path": "/etc/passwd"},
        {"path": "http://elsewhere.example/x"},
        {"sha256": "ab"},
        {"size": -1},
        {"size": "9"},
    ],
)
def test_a_signed_document_is_checked_all_the_same(
    mirror: Mirror, key: Key, change: dict[str, Any]
) -> None:
    product = mirror._product("noble", "amd64", ["20260101"])
    product["versions"]["20260101"]["items"]["squashfs"] |= change
    mirror.put(PRODUCTS, key.sign(json.dumps({"products": {"a": product}}).encode()))
    with pytest.raises(StreamError, match=r"20260101: squashfs: (path|sha256|size) "):
        streams.offered(mirror.url, key.keyring)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "versions", "items", "arch", "release"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_document_is_read_or_refused(document: Any) -> None:
    try:
        products = streams._objects(document, "versions", "x")
        found = [
            v for name, told in products for v in streams._versions("http://x/", name, told, "")
        ]
    except StreamError:
        return
    assert all(isinstance(one, streams.Offered) for one in found)


def test_local_files_become_an_image(stocked: Library, tmp_path: Path) -> None:
    files = {name: tmp_path / f"my-{name}" for name in ("kernel", "initrd", "squashfs")}
    for name, path in files.items():
        path.write_text(f"{name} of mine")
    image = importing.import_files(stocked, files, release="mine", arch="amd64", kernel="6.1")
    assert stocked.verify(image.id) == []
    assert image.product == "local:mine:amd64"
    files["initrd"].write_text("")
    with pytest.raises(LibraryError, match=r"initrd: .*my-initrd is no file"):
        importing.import_files(stocked, files, release="mine", arch="amd64", kernel="6.1")


def test_before_the_first_build_there_are_no_loaders_to_start_it_with(
    mirror: Mirror, key: Key, library: Library
) -> None:
    with pytest.raises(LibraryError, match="muster image build"):
        importing.import_offered(library, chosen(mirror, key), progress=silent)
    assert mirror.asked[-1][0] == PRODUCTS


def test_an_image_of_ours_keeps_the_id_it_had_before_there_were_stock_images(shop: Shop) -> None:
    image, _ = shop.image()
    document = json.loads(image.to_json())
    del document["id"], document["origin"]
    document = {k: v for k, v in document.items() if k != "swift"}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert image.id == hashlib.sha256(text.encode()).hexdigest()


def test_the_command_takes_in_prunes_and_tells(
    mirror: Mirror, key: Key, stocked: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ["--images", str(stocked.root), "--release", "noble"]
    stream = ["image", "import", mirror.url, "--keyring", str(key.keyring), *here]
    for version in ("20260101", "20260201"):
        with pytest.raises(SystemExit) as ended:
            app([*stream, "--version", version, "--keep", "1"])
        assert ended.value.code in (0, None)
    told = capsys.readouterr().out.replace("\n", " ")
    assert "removed" in told
    assert [i.origin.split()[1] for i in stocked.all() if i.origin] == ["20260201"]
    with pytest.raises(SystemExit) as ended:
        app([*stream, "--arch", "s390x"])
    assert ended.value.code == 1
    assert "the stream has no noble for s390x" in capsys.readouterr().err


def test_a_file_longer_than_its_index_says_is_not_read_to_its_end(
    mirror: Mirror, tmp_path: Path
) -> None:
    mirror.put("long", b"y" * 3_000_000)
    entry = FileEntry(hashlib.sha256(b"y" * 10).hexdigest(), 10)
    with pytest.raises(FetchError, match="its index says"):
        fetch(f"{mirror.url}long", entry, tmp_path, silent)
