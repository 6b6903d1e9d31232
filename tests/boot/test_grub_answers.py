"""What GRUB is told, on UEFI machines with Secure Boot or without."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.api.desk import MAC, UUID, Desk, resources, story

from muster.boot import grub
from muster.images.library import Library

URL = "http://10.0.0.1:8472"
BY_IPV6 = "http://[fd99::1]:8472"
HERE = "(http,10.0.0.1:8472)"


def ask(desk: Desk, **query: str) -> str:
    query = {"mac": MAC, "uuid": UUID, "arch": "x86_64"} | query
    got = desk.client.get("/boot/grub", params=query)
    assert got.status_code == 200
    return str(got.text)


def test_the_first_configuration_asks_again_with_who_the_machine_is(desk: Desk) -> None:
    text = desk.client.get("/grub/grub.cfg").text
    assert "smbios --type 1 --get-uuid 8 --set uuid" in text
    assert 'set query="uuid=$uuid&mac=$net_default_mac&arch=$grub_cpu"' in text
    assert f'source "{HERE}/boot/grub?$query"' in text


def test_an_unknown_machine_starts_the_ephemeral_os(desk: Desk, library: Library) -> None:
    image = library.current()
    assert image is not None
    text = ask(desk)
    kernel, initrd = (image.files[name].sha256 for name in ("kernel", "initrd"))
    boot = desk.get("/boots")[0]
    assert f'linux "{HERE}/boot/files/{kernel}/kernel?boot={boot["id"]}" root=squash:' in text
    assert f'initrd "{HERE}/boot/files/{initrd}/initrd?boot={boot["id"]}"\nboot\n' in text
    assert f"BOOTIF=01-{MAC.replace(':', '-')} console=tty0" in text
    assert f"ds=nocloud\\;dsmode=net\\;s={URL}/metadata/" in text
    assert boot["firmware"] == "uefi"


def test_a_surveyed_machine_starts_its_own_disk(desk: Desk) -> None:
    welcome = desk.enlist()
    desk.events(welcome["token"], story(welcome, document=resources()))
    text = ask(desk)
    assert 'linux "' not in text
    assert text.index("/EFI/debian/shimx64.efi") < text.index("/EFI/BOOT/BOOTX64.efi")
    assert text.rstrip().endswith("exit 1")


@pytest.mark.parametrize("known", [False, True])
def test_the_size_is_told_without_deciding_anything(desk: Desk, known: bool) -> None:
    if known:
        welcome = desk.enlist()
        desk.events(welcome["token"], story(welcome, document=resources()))
    before = len(desk.get("/boots"))
    size = desk.client.head("/boot/grub", params={"mac": MAC, "uuid": UUID, "arch": "x86_64"})
    assert size.status_code == 200
    assert len(desk.get("/boots")) == before
    assert int(size.headers["content-length"]) == len(ask(desk).encode()) == grub.LENGTH
    first = desk.client.head("/grub/grub.cfg")
    length = len(desk.client.get("/grub/grub.cfg").content)
    assert int(first.headers["content-length"]) == length


@pytest.mark.parametrize("evil", ["'; reboot; '", "$(x)", "a\nreboot", "`x`", "a && b"])
def test_no_text_of_a_machine_becomes_a_command(desk: Desk, evil: str) -> None:
    text = ask(desk, arch=evil, mac="52:54:00:12:34:01")
    first, _, rest = text.partition("\n")
    assert re.fullmatch(r"echo 'muster: boot \w+: refused: [A-Za-z0-9 .,:()/_-]*'", first)
    assert rest.startswith("if search ")
    assert "BOOTIF=01- " not in ask(desk, mac=evil)


def test_a_machine_asks_by_ipv4_and_then_by_ipv6_where_both_are_served() -> None:
    asked = [line for line in grub.start(URL, BY_IPV6).splitlines() if "source" in line]
    assert asked == [
        '  source "(http,10.0.0.1:8472)/boot/grub?$query"',
        '  source "(http,[fd99::1]:8472)/boot/grub?$query"',
    ]


@pytest.mark.skipif(not shutil.which("grub-script-check"), reason="GRUB's checker is not here")
def test_grub_itself_finds_nothing_wrong(desk: Desk, tmp_path: Path) -> None:
    for number, text in enumerate(
        (grub.start(URL), grub.start(URL, BY_IPV6), ask(desk), ask(desk, arch="arm64"))
    ):
        file = tmp_path / f"{number}.cfg"
        file.write_text(text)
        subprocess.run(["grub-script-check", str(file)], check=True)
