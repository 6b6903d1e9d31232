"""What a machine is told that was started from a medium: the initrd asks, not a loader."""

import re
import subprocess

import pytest
from tests.api.desk import MAC, UUID, Desk, resources, story

from muster.images.library import Library
from muster.images.recipe import HERE

URL = "http://10.0.0.1:8472"


def ask(desk: Desk, **query: str) -> list[str]:
    query = {"mac": MAC, "uuid": UUID, "firmware": "uefi"} | query
    got = desk.client.get("/boot/medium", params=query)
    assert got.status_code == 200
    verb, words = got.text.splitlines()
    return [verb, words]


def test_an_unknown_machine_gets_the_words_that_a_loader_would_have_given(
    desk: Desk, library: Library
) -> None:
    image = library.in_use()
    verb, words = ask(desk, image=image.id)
    assert verb == "start 0"
    root = image.files["squashfs"].sha256
    assert words.startswith(f"root=squash:{URL}/boot/files/{root}/squashfs muster.sha256={root} ")
    assert re.search(rf" muster.report={URL}/boot/report/\S+ ", words)
    assert "BOOTIF" not in words
    (boot,) = desk.get("/boots")
    assert boot["timeline"][0]["detail"] == "started from a medium"
    assert boot["firmware"] == "uefi"


def test_a_medium_of_an_image_that_is_gone_is_told_so(desk: Desk) -> None:
    verb, words = ask(desk, image="f" * 64)
    assert verb == "wait 60"
    assert words == "the medium is of image ffffffffffff, which the server has not: make it anew"


@pytest.mark.parametrize("image", ["", "../../etc/passwd", "x" * 200])
def test_an_image_that_is_none_is_told_so(desk: Desk, image: str) -> None:
    verb, words = ask(desk, image=image)
    assert verb == "wait 60"
    assert re.fullmatch(r"[A-Za-z0-9 .,:;'()/_-]+", words)


def test_a_machine_that_shall_start_its_disk_waits(desk: Desk, library: Library) -> None:
    welcome = desk.enlist()
    desk.events(welcome["token"], story(welcome, document=resources()))
    verb, words = ask(desk, image=library.in_use().id)
    assert verb == "wait 60"
    assert "local:" in words
    assert words.endswith("; take the medium out for that")


def functions(*names: str) -> str:
    """Functions of the initrd's scripts, to be run by the shell that it has."""
    scripts = ("init", "bin/leave", "bin/medium")
    text = "".join((HERE / "files/initrd" / name).read_text() for name in scripts)
    found = [re.search(rf"(?ms)^{name}\(\) \{{.*?^\}}$", text) for name in names]
    return "\n".join(one[0] for one in found if one)


def shell(script: str) -> str:
    done = subprocess.run(["busybox", "sh"], input=script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_initrd_reads_the_words_of_the_medium_and_of_the_answer() -> None:
    script = functions("read_words") + (
        "\nread_words muster.medium=ab muster.server=http://h:1 muster.ip=10.0.0.9/24"
        " muster.gateway=10.0.0.1 muster.dns=1.1.1.1,2.2.2.2"
        "\nread_words root=squash:http://h:1/r muster.report=http://h:1/boot/report/n"
        '\necho "$MEDIUM|$SERVER|$FIXED|$ROUTER|$NAMES|$ROOT_URL|$REPORT"'
    )
    assert shell(script) == (
        "ab|http://h:1|10.0.0.9/24|10.0.0.1|1.1.1.1 2.2.2.2|http://h:1/r|http://h:1/boot/report/n\n"
    )


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ("FIXED=", ["DHCP=ipv4"]),
        ("FIXED=10.0.0.9/24", ["Address=10.0.0.9/24"]),
        (
            "FIXED=10.0.0.9/24 ROUTER=10.0.0.1 NAMES='1.1.1.1 2.2.2.2'",
            ["Address=10.0.0.9/24", "Gateway=10.0.0.1", "DNS=1.1.1.1", "DNS=2.2.2.2"],
        ),
    ],
)
def test_networkd_keeps_the_address_that_was_given(known: str, said: list[str]) -> None:
    assert shell(f"{known}\n{functions('address_words')}\naddress_words").split() == said
