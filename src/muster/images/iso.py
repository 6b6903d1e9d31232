"""A medium that starts the ephemeral OS where no DHCP server can be had: ISO 9660, for CD and USB.

BIOS starts GRUB by El Torito or, from a USB disk, by the MBR; UEFI starts shim and the signed GRUB
from a FAT partition, with Secure Boot or without. Both read one configuration and start the image's
own kernel and initrd; bin/medium in that initrd then asks the server what the machine shall start.
"""

import ipaddress
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from muster.images import command
from muster.images.errors import BuildError
from muster.images.firmware import ANY
from muster.images.library import Library
from muster.images.manifest import PARTS, SIGNED, Manifest
from muster.images.root import EPOCH

GRUB: Final = Path("/usr/lib/grub/i386-pc")
_PARTS: Final = ("cdboot.img", "boot_hybrid.img")
_MODULES: Final = (
    *("biosdisk", "iso9660", "part_msdos", "part_gpt", "fat", "search", "search_fs_file", "normal"),
    *("linux", "configfile", "echo", "test", "sleep", "boot", "minicmd"),
)
_DATE: Final = "2023111422132000"
"""EPOCH as xorriso writes it: the same image and words give the same bytes."""
_FAT_SECTORS_KIB: Final = 6 * 1024


class BadWords(BuildError):
    """What the medium shall say to the kernel is no address."""

    def __init__(self, problem: str) -> None:
        super().__init__("iso", problem)


@dataclass(frozen=True)
class Words:
    """What the machine needs to reach the server. Without `server` it asks on its console.

    `address` is "10.0.0.9/24", "" (by DHCP) or "ask".
    """

    server: str = ""
    address: str = ""
    gateway: str = ""
    dns: tuple[str, ...] = ()
    kernel_options: str = ""

    def check(self) -> None:
        """Raise BadWords, naming the field and what it should be."""
        parts = urlsplit(self.server)
        if self.server and (parts.scheme != "http" or not parts.netloc or _odd(self.server)):
            raise BadWords(f"--server {self.server!r} is no URL like http://10.0.0.5:8472")
        if self.address not in ("", "ask"):
            if "/" not in self.address:
                raise BadWords(f"--address {self.address!r} has no prefix: write 10.0.0.9/24")
            _is_address("--address", self.address.partition("/")[0])
            _is_interface(self.address)
        if self.gateway:
            _is_address("--gateway", self.gateway)
        for server in self.dns:
            _is_address("--dns", server)
        if self.gateway and not self.address:
            raise BadWords("--gateway needs --address: DHCP tells its own gateway")
        if any(sign in self.kernel_options for sign in "\n\r'\"\\{};$"):
            raise BadWords(f"--kernel-options {self.kernel_options!r}: none of ' \" \\ {{ }} ; $")

    def line(self, image: Manifest) -> str:
        """The kernel command line (bin/medium in the initrd says what each word is)."""
        words = [f"muster.medium={image.id}"]
        words += [f"muster.server={self.server.rstrip('/')}"] if self.server else []
        words += [f"muster.ip={self.address}"] if self.address else []
        words += [f"muster.gateway={self.gateway}"] if self.gateway else []
        words += [f"muster.dns={','.join(self.dns)}"] if self.dns else []
        words += ["console=tty0 console=ttyS0,115200"]
        return " ".join([*words, *self.kernel_options.split()])


def _odd(text: str) -> bool:
    return not all(sign.isalnum() or sign in ":/.-_[]" for sign in text)


def _is_address(flag: str, text: str) -> None:
    try:
        ipaddress.IPv4Address(text)
    except ValueError as error:
        raise BadWords(f"{flag} {text!r}: {error}; write an IPv4 address") from error


def _is_interface(text: str) -> None:
    try:
        ipaddress.IPv4Interface(text)
    except ValueError as error:
        raise BadWords(f"--address {text!r}: {error}; write 10.0.0.9/24") from error


def build_iso(library: Library, image: Manifest, words: Words, target: Path) -> None:
    """Write the ISO of one of our own images; the target is replaced only when all went well."""
    words.check()
    if image.origin:
        raise BuildError("iso", f"{image.origin} is a stock image: its initrd asks no server")
    if image.arch != "amd64":
        raise BuildError("iso", f"media start amd64 machines only, not {image.arch}")
    need()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".iso-", dir=target.parent) as folder:
        work = Path(folder)
        tree = work / "tree"
        _fill(library, image, words, tree)
        _bios(work, tree)
        _uefi(library, image, work)
        made = work / "made.iso"
        _master(work, tree, made)
        made.chmod(0o644)
        os.replace(made, target)


def need() -> None:
    """Refuse to start when parts are missing, naming the packages."""
    command.need("xorriso", "mkfs.fat", "mcopy", "grub-mkimage")
    missing = [name for name in _PARTS if not (GRUB / name).is_file()]
    if missing:
        raise BuildError("tools", f"not installed: {GRUB}; apt-get install grub-pc-bin")


def _fill(library: Library, image: Manifest, words: Words, tree: Path) -> None:
    (tree / "muster").mkdir(parents=True)
    (tree / "grub").mkdir()
    for name in ("kernel", "initrd", *_parts(image), *_firmware(image)):
        blob = library.blob(image.files[name].sha256)
        (tree / "muster" / name.replace("/", "-")).write_bytes(blob.read_bytes())
    (tree / "muster" / image.id[:16]).write_text(f"{image.id}\n")
    (tree / "grub" / "grub.cfg").write_text(_menu(image, words))


def _parts(image: Manifest) -> list[str]:
    return [name for name in PARTS if name in image.files]


def _firmware(image: Manifest) -> list[str]:
    """Nobody knows whose machine it will be."""
    return [ANY] if ANY in image.files else []


def _menu(image: Manifest, words: Words) -> str:
    """What both GRUBs read; the second entry is for machines with an address of their own."""
    asking = Words(words.server, "ask", dns=words.dns, kernel_options=words.kernel_options)
    entries = [("muster", words), ("muster: ask for the address on the console", asking)]
    # GRUB puts each file into the initrd by its name: no network has to be waited for.
    more = "".join(f" /muster/{name.replace('/', '-')}" for name in _firmware(image))
    more += "".join(f" newc:{name}.squashfs:/muster/{name}" for name in _parts(image))
    shown = "".join(
        f"menuentry '{title}' {{\n  linux /muster/kernel {said.line(image)}\n"
        f"  initrd /muster/initrd{more}\n}}\n"
        for title, said in entries
    )
    find = f"search --no-floppy --file --set=root /muster/{image.id[:16]}\n"
    return f"set timeout=3\nset default={0 if words.server else 1}\n{find}{shown}"


def _bios(work: Path, tree: Path) -> None:
    first = work / "first.cfg"
    first.write_text("set prefix=($root)/grub\nnormal\n")
    core = work / "core.img"
    command.run(
        "iso",
        [
            *("grub-mkimage", "-O", "i386-pc", "-d", str(GRUB), "-p", "/grub", "-o", str(core)),
            *_MODULES,
        ],
    )
    (tree / "grub" / "eltorito.img").write_bytes(
        (GRUB / "cdboot.img").read_bytes() + core.read_bytes()
    )


def _uefi(library: Library, image: Manifest, work: Path) -> None:
    """The FAT partition: the fallback's name is what firmware starts from a medium (UEFI 3.5)."""
    partition = work / "efi.img"
    fat = ["mkfs.fat", "--invariant", "-i", "4d555354", "-n", "MUSTER", "-C"]
    command.run("iso", [*fat, str(partition), str(_FAT_SECTORS_KIB)])
    config = work / "start.cfg"
    # From a CD GRUB reads ISO 9660 at once; from a USB disk it starts in this partition.
    marker = f"/muster/{image.id[:16]}"
    config.write_text(
        f"search --no-floppy --file --set=root {marker}\nset prefix=($root)/grub\n"
        "configfile /grub/grub.cfg\n"
    )
    shim, grub = (library.blob(image.files[f"loader/{name}"].sha256) for name in SIGNED[image.arch])
    folders = ["::EFI", "::EFI/BOOT", "::grub"]
    dated = {"SOURCE_DATE_EPOCH": str(EPOCH)}
    command.run("iso", ["mmd", "-i", str(partition), *folders], environment=dated)
    for source, name in (
        (shim, "EFI/BOOT/BOOTX64.EFI"),
        (grub, "EFI/BOOT/grubx64.efi"),
        (config, "grub/grub.cfg"),
    ):
        copy = ["mcopy", "-i", str(partition), str(source), f"::{name}"]
        command.run("iso", copy, environment=dated)


def _master(work: Path, tree: Path, made: Path) -> None:
    command.run(
        "iso",
        [
            *("xorriso", "-as", "mkisofs", "-quiet", "-r", "-J", "-V", "MUSTER", "-o", str(made)),
            *(f"--modification-date={_DATE}", "--set_all_file_dates", _DATE),
            *("--grub2-mbr", str(GRUB / "boot_hybrid.img")),
            *("-b", "grub/eltorito.img", "-no-emul-boot", "-boot-load-size", "4"),
            *("-boot-info-table", "--grub2-boot-info", "-c", "grub/boot.cat"),
            *("-eltorito-alt-boot", "-append_partition", "2", "0xef", str(work / "efi.img")),
            *("-e", "--interval:appended_partition_2:all::", "-no-emul-boot", str(tree)),
        ],
        environment={"SOURCE_DATE_EPOCH": str(EPOCH)},
    )
