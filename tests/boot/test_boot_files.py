from collections.abc import Iterator
from typing import Any

import pytest
from tests.api.desk import Desk
from tests.server.shelf import stocked

from muster.images.library import Library
from muster.store.engine import Store

BODY = b"kernel\n" * 100


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return stocked(tmp_path_factory.mktemp("images"))


@pytest.fixture
def desk(store: Store, clock: Any, library: Library) -> Iterator[Desk]:
    made = Desk(store, library, clock)
    with made.client:
        yield made


@pytest.fixture
def path(library: Library) -> str:
    image = library.current()
    assert image is not None
    return f"/boot/files/{image.files['kernel'].sha256}/kernel"


def test_a_boot_file_comes_whole_with_its_hash_as_etag(desk: Desk, path: str) -> None:
    answer = desk.client.get(path)
    assert answer.content == BODY
    assert answer.headers["etag"] == f'"{path.split("/")[3]}"'
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("0-0", 0, 1), ("10-19", 10, 20), ("690-", 690, 700), ("-5", 695, 700), ("5-9999", 5, 700)],
)
def test_a_part_of_a_boot_file_is_what_was_asked_for(
    desk: Desk, path: str, wanted: str, start: int, end: int
) -> None:
    answer = desk.client.get(path, headers={"Range": f"bytes={wanted}"})
    assert answer.status_code == 206
    assert answer.content == BODY[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/700"


@pytest.mark.parametrize("wanted", ["bytes=700-", "bytes=9999-10000"])
def test_a_part_beyond_the_end_is_refused_with_the_size(desk: Desk, path: str, wanted: str) -> None:
    answer = desk.client.get(path, headers={"Range": wanted})
    assert answer.status_code == 416
    assert answer.headers["content-range"].endswith("/700")


def test_a_range_of_an_older_file_gives_the_whole_one(desk: Desk, path: str) -> None:
    headers = {"Range": "bytes=0-9", "If-Range": '"of another file"'}
    assert desk.client.get(path, headers=headers).content == BODY


def test_head_tells_size_and_hash_and_sends_nothing(desk: Desk, path: str) -> None:
    answer = desk.client.head(path)
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["content-length"] == "700"


@pytest.mark.parametrize(
    "path",
    [
        "/boot/files/" + "0" * 64 + "/kernel",
        "/boot/files/" + "0" * 63 + "/kernel",
        "/boot/files/" + "A" * 64 + "/kernel",
        "/boot/files/../../muster.db",
        "/boot/files/%2e%2e/%2e%2e/etc/passwd",
        "/boot/files//etc/passwd",
        "/boot/files/..%2f..%2fcurrent/x",
        "/boot/files/" + "0" * 64,
        "/boot/files/",
        "/boot/files",
        "/boot/loader/../../../../etc/passwd",
        "/boot/loader/kernel",
        "/boot/loader/",
        "/boot/loader/%00",
    ],
)
def test_what_is_no_boot_file_is_not_found(desk: Desk, path: str) -> None:
    answer = desk.client.get(path)
    assert answer.status_code == 404
    assert "root:" not in answer.text


@pytest.mark.parametrize("name", ["../x", "%2e%2e%2fx", "a%00b", "x" * 65, "", "a b", "%ff"])
def test_a_right_hash_with_a_wrong_name_is_not_found(desk: Desk, path: str, name: str) -> None:
    assert desk.client.get(path.removesuffix("kernel") + name).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_boot_file_can_only_be_read(desk: Desk, path: str, method: str) -> None:
    answer = desk.client.request(method, path, content=b"x")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert desk.client.get(path).content == BODY


def test_loaders_are_served_by_name_and_asked_for_anew_each_time(desk: Desk) -> None:
    answer = desk.client.get("/boot/loader/snponly.efi")
    assert answer.content.startswith(b"loader/snponly.efi\n")
    assert answer.headers["content-type"] == "application/efi"
    assert answer.headers["cache-control"] == "no-cache"


def test_a_fetched_kernel_is_on_the_timeline_of_its_boot(desk: Desk, path: str) -> None:
    desk.boot()
    boot = desk.get("/boots")[0]["id"]
    for query in (f"?boot={boot}", "?boot=unknown", "?boot=%00", "?boot=", ""):
        assert desk.client.get(path + query).status_code == 200
    details = [mark["detail"] for mark in desk.get(f"/boots/{boot}")["timeline"]]
    assert details.count("kernel fetched") == 1
