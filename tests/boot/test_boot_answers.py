"""What iPXE is told: whole scripts, read as a machine reads them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.api.desk import MAC, UUID, Desk, resources, story

from muster.images import importing
from muster.images.library import Library
from muster.images.manifest import PARTS, Manifest
from muster.lifecycle import commission
from muster.store.engine import Store

URL = "http://10.0.0.1:8472"
UNKNOWN = "no record has its UUID or one of its MACs"


@pytest.fixture
def ask(desk: Desk) -> Callable[..., str]:
    """The boot answer for a machine, with the boot's number and the nonce written plainly."""

    def answer(**query: str) -> str:
        query = {"mac": MAC, "uuid": UUID, "arch": "x86_64", "firmware": "efi"} | query
        got = desk.client.get("/boot/ipxe", params=query)
        assert got.status_code == 200
        assert got.headers["content-type"].startswith("text/plain")
        script: str = got.text
        boot = script.split("echo muster: boot ")[1].split(":")[0]
        if "/boot/report/" in script:
            script = script.replace(script.split("/boot/report/")[1].split()[0], "NONCE")
        return script.replace(boot, "BOOT")

    return answer


def ephemeral(library: Library, purpose: str, why: str) -> str:
    image = library.current()
    assert image is not None
    kernel, initrd, root = (image.files[name].sha256 for name in ("kernel", "initrd", "squashfs"))
    return f"""#!ipxe
echo muster: boot BOOT: {purpose}: {why}
kernel {URL}/boot/files/{kernel}/kernel?boot=BOOT initrd=initrd \
root=squash:{URL}/boot/files/{root}/squashfs muster.sha256={root} \
muster.size=900 muster.report={URL}/boot/report/NONCE \
ds=nocloud;dsmode=net;s={URL}/metadata/NONCE/ \
BOOTIF=01-${{netX/mac:hexhyp}} console=tty0 console=ttyS0,115200 || goto failed
initrd --name initrd {URL}/boot/files/{initrd}/initrd?boot=BOOT || goto failed
boot || goto failed
:failed
echo muster: cannot start the kernel; asking the server again in 5 s
sleep 5
chain --replace {URL}/boot/start.ipxe
"""


def on_disk(purpose: str, why: str) -> str:
    return f"""#!ipxe
echo muster: boot BOOT: {purpose}: {why}
iseq ${{platform}} efi && goto efi ||
sanboot --no-describe --drive 0x80 || exit
:efi
sanboot --no-describe --drive 0 || exit 1
"""


def test_the_first_script_asks_again_with_who_it_is(desk: Desk) -> None:
    told = desk.client.get("/boot/start.ipxe").text
    pause = told.split("sleep ")[1].split()[0]
    # By chance, so that machines that failed together do not come back together.
    assert 3 <= int(pause) <= 9
    assert (
        told
        == f"""#!ipxe
:again
chain --replace {URL}/boot/ipxe?uuid=${{uuid}}&mac=${{netX/mac}}&serial=${{serial:uristring}}\
&arch=${{buildarch}}&firmware=${{platform}}&busid=${{netX/busid:hexraw}}\
&medium=${{medium}} || goto failed
:failed
echo muster: no answer from {URL}: asking again in {pause} s
sleep {pause}
goto again
"""
    )


def test_an_unknown_machine_starts_the_ephemeral_os_to_enlist(
    ask: Callable[..., str], library: Library
) -> None:
    assert ask() == ephemeral(library, "enlist", UNKNOWN)


def test_an_ipxe_from_a_medium_starts_no_disk_which_may_be_that_medium(
    desk: Desk, ask: Callable[..., str]
) -> None:
    name = desk.enlist()["machine"]
    desk.ask("POST", f"/machines/{name}/deny", json={"reason": "not ours"})
    told = "#!ipxe\necho muster: boot BOOT: refused: not ours\nexit 1\n"
    assert ask(medium="1") == told
    assert ask(medium="") == on_disk("refused", "not ours")


def test_a_new_machine_that_was_surveyed_starts_its_disk(
    desk: Desk, ask: Callable[..., str]
) -> None:
    welcome = desk.enlist()
    name = welcome["machine"]
    assert f"{name} was never surveyed" in ask()
    welcome = desk.enlist()
    desk.events(welcome["token"], story(welcome, document=resources()))
    assert ask() == on_disk("local", f"{name} is New: same hardware UUID")


def test_a_commissioning_machine_starts_the_ephemeral_os_and_a_ready_one_its_disk(
    desk: Desk, ask: Callable[..., str], library: Library, now: datetime
) -> None:
    name = desk.enlist()["machine"]
    options = commission.Options()
    commission.start(desk.store, desk.policy, name, options, actor="test", now=now)
    assert ask() == ephemeral(library, "commission", f"{name} is Commissioning")
    welcome = desk.enlist()
    desk.events(welcome["token"], story(welcome, document=resources()))
    assert ask() == on_disk("local", f"{name} is Ready: same hardware UUID")


def test_a_machine_that_claims_another_s_evidence_is_refused(
    desk: Desk, ask: Callable[..., str]
) -> None:
    desk.enlist()
    other = UUID[:-1] + "2"
    desk.enlist(mac="52:54:00:12:34:02", uuid=other)
    script = ask(mac=MAC, uuid=other)
    assert script.startswith("#!ipxe\necho muster: boot BOOT: refused: clash: ")
    assert script.split("\n", 2)[2] == on_disk("", "").split("\n", 2)[2]


def test_a_denied_machine_is_refused_with_the_reason(desk: Desk, ask: Callable[..., str]) -> None:
    name = desk.enlist()["machine"]
    desk.ask("POST", f"/machines/{name}/deny", json={"reason": "not ours"})
    assert ask() == on_disk("refused", "not ours")


def test_without_an_image_a_machine_starts_its_disk_and_says_why(
    desk: Desk, ask: Callable[..., str], library: Library
) -> None:
    (library.root / "current").unlink()
    assert ask() == on_disk("refused", "no image for amd64: run 'muster image build'")


def test_a_damaged_image_is_named_as_such(ask: Callable[..., str], library: Library) -> None:
    (library.root / "current").resolve().write_text("{")
    assert "the image in use is damaged, run 'muster image build'" in ask()


@pytest.mark.parametrize(("arch", "told"), [("arm64", "arm64"), ("riscv64", "riscv64")])
def test_a_machine_of_another_architecture_is_told_that_it_has_no_image(
    ask: Callable[..., str], arch: str, told: str
) -> None:
    assert ask(arch=arch) == on_disk("refused", f"no image for {told}: run 'muster image build'")


def test_the_bios_loader_calls_itself_i386_and_gets_the_64_bit_image(
    ask: Callable[..., str],
) -> None:
    assert "kernel " in ask(arch="i386", firmware="pcbios")


@pytest.mark.parametrize(
    "evil", ["x\nboot evil", "${net0/ip}", "a && shell", "a || exit", "x\r\nimgfree", "\u202e"]
)
def test_no_text_of_a_machine_becomes_a_command(ask: Callable[..., str], evil: str) -> None:
    script = ask(arch=evil, serial=evil, mac="52:54:00:12:34:01")
    assert script.split("\n", 2)[2] == on_disk("", "").split("\n", 2)[2]
    for sign in ("\r", "$", "&", "|", "\u202e"):
        assert sign not in script.splitlines()[1]


def test_every_boot_answer_is_on_record_with_its_reason(
    desk: Desk, ask: Callable[..., str]
) -> None:
    ask()
    (boot,) = desk.get("/boots")
    assert (boot["purpose"], boot["firmware"], boot["architecture"]) == ("enlist", "uefi", "amd64")
    assert "boot answer: enlist" in boot["timeline"][-1]["detail"]


@pytest.mark.parametrize("parts", [PARTS, ()])
def test_a_swift_start_is_told_what_to_fetch_behind_its_initrd(
    ask: Callable[..., str], library: Library, parts: tuple[str, ...]
) -> None:
    image = library.in_use()
    files = {k: v for k, v in image.files.items() if k in parts or k not in PARTS}
    swift = replace(image, files=files, swift=True).sealed()
    library.add(swift, {name: library.blob(entry.sha256) for name, entry in files.items()})
    library.use(swift.id)
    words = ask().split("\nkernel ")[1].split(" || ")[0].split()
    after = words[words.index("muster.start=swift") + 1 :]
    assert after == [f"muster.{name}={files[name].sha256}" for name in parts]
    # The loader fetches what a kernel needs to find its network, and no more.
    assert ask().count("/boot/files/") == 3


@pytest.fixture
def stock(library: Library, tmp_path: Path) -> Manifest:
    """A stock image in use."""
    files = {name: tmp_path / name for name in ("kernel", "initrd", "squashfs")}
    for name, path in files.items():
        path.write_text(f"stock {name}")
    words = {"release": "noble", "arch": "amd64", "kernel": "6.8"}
    return library.use(importing.import_files(library, files, **words).id)


STOCK = "ip=dhcp ip6=off overlayroot=tmpfs overlayroot_cfgdisk=disabled"


def test_a_stock_image_is_started_as_its_own_initrd_wants_it(
    ask: Callable[..., str], stock: Manifest
) -> None:
    script = ask()
    root = stock.files["squashfs"].sha256
    assert f" root=squash:{URL}/boot/files/{root}/squashfs {STOCK} ds=nocloud;dsmode=net;" in script
    assert "muster.start" not in script


def test_a_stock_image_is_told_of_the_datasource_maas(
    store: Store, clock: Any, library: Library, stock: Manifest
) -> None:
    desk = Desk(store, library, clock, url=URL, datasource="maas", kernel_options="quiet")
    with desk.client:
        query = {"mac": MAC, "uuid": UUID, "arch": "x86_64", "firmware": "efi"}
        script = desk.client.get("/boot/ipxe", params=query).text
        grub = desk.client.get("/boot/grub", params=query).text
    told = f"{STOCK} cc:{{'datasource_list':['MAAS']}}end_cc cloud-config-url={URL}/MAAS/"
    assert told in script
    assert "get_preseed BOOTIF=" in script
    assert "console=ttyS0,115200 quiet ||" in script
    # What GRUB would take for its own.
    assert r"cc:\{\'datasource_list\':[\'MAAS\']\}end_cc" in grub
