"""The seed in MAAS's layout, asked for as cloud-init 25.1 asks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from tests.api.desk import Desk
from tests.server.shelf import stocked

from muster.store.engine import Store

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0000000000000000000000000000000000000000000 me@here"
BASE = "/MAAS/metadata/2012-03-01"
URL = "http://10.0.0.1:8472"


@pytest.fixture
def desk(store: Store, tmp_path: Path, clock: Any) -> Iterator[Desk]:
    made = Desk(store, stocked(tmp_path), clock, ssh_keys=(KEY,), url=URL)
    with made.client:
        yield made


@pytest.fixture
def source(desk: Desk) -> dict[str, str]:
    """What the preseed says of the datasource."""
    text = desk.client.get(f"/MAAS/metadata/latest/by-id/{desk.boot()}/?op=get_preseed").text
    assert text.startswith("#cloud-config\n")
    found: dict[str, str] = yaml.safe_load(text)["datasource"]["MAAS"]
    return found


def signed(source: dict[str, str], **changed: str) -> dict[str, str]:
    """The header that cloud-init's oauth_helper makes."""
    words = {
        "oauth_nonce": "1",
        "oauth_timestamp": "1",
        "oauth_version": "1.0",
        "oauth_signature_method": "PLAINTEXT",
        "oauth_consumer_key": source["consumer_key"],
        "oauth_token": source["token_key"],
        "oauth_signature": quote(f"&{source['token_secret']}", safe=""),
    } | changed
    return {"Authorization": "OAuth " + ", ".join(f'{k}="{v}"' for k, v in words.items())}


def test_the_preseed_names_the_metadata_and_its_key(desk: Desk, source: dict[str, str]) -> None:
    boot = desk.get("/boots")[0]["id"]
    assert source == {
        "metadata_url": f"{URL}/MAAS/metadata/",
        "consumer_key": boot,
        "token_key": boot,
        "token_secret": source["token_secret"],
    }


def test_cloud_init_finds_what_it_asks_for_whatever_its_clock(
    desk: Desk, source: dict[str, str]
) -> None:
    key = signed(source)
    for item, text in (
        ("instance-id", f"muster-{source['token_key']}"),
        ("local-hostname", "muster"),
    ):
        answer = desk.client.get(f"{BASE}/meta-data/{item}", headers=key)
        assert (answer.status_code, answer.text) == (200, text)
    for item in ("public-keys", "vendor-data"):
        assert desk.client.get(f"{BASE}/meta-data/{item}", headers=key).status_code == 404
    config = yaml.safe_load(desk.client.get(f"{BASE}/user-data", headers=key).text)
    (command,) = config["bootcmd"]
    assert source["token_secret"] in command[4]


def test_the_key_is_of_no_use_after_the_hello(desk: Desk, source: dict[str, str]) -> None:
    desk.hello(source["token_secret"])
    for path in ("user-data", "meta-data/instance-id"):
        assert desk.client.get(f"{BASE}/{path}", headers=signed(source)).status_code == 403
    preseed = f"/MAAS/metadata/latest/by-id/{source['token_secret']}/"
    assert desk.client.get(preseed).status_code == 403


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"oauth_signature": "%26another"}, 401),
        ({"oauth_signature": ""}, 401),
        ({"oauth_signature_method": "HMAC-SHA1"}, 401),
        ({"oauth_token": "another"}, 403),
    ],
)
def test_another_key_opens_nothing(
    desk: Desk, source: dict[str, str], changed: dict[str, str], status: int
) -> None:
    for path in ("user-data", "meta-data/instance-id"):
        answer = desk.client.get(f"{BASE}/{path}", headers=signed(source, **changed))
        assert answer.status_code == status


@pytest.mark.parametrize("header", ["", "OAuth", "Bearer x", "OAuth x=1", 'OAuth a="' + "b" * 9000])
def test_no_key_opens_nothing(desk: Desk, header: str) -> None:
    headers = {"Authorization": header} if header else {}
    assert desk.client.get(f"{BASE}/user-data", headers=headers).status_code == 401
    assert desk.client.get("/MAAS/metadata/latest/by-id/nobody/").status_code == 401
