"""muster image ...: build images, look at them, choose the one that machines boot."""

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from muster.images import importing, streams
from muster.images.build import build
from muster.images.errors import ImageError
from muster.images.firmware import PREFIX as SIDE_PACKAGES
from muster.images.iso import Words, build_iso
from muster.images.library import Library
from muster.images.manifest import Manifest
from muster.images.recipe import recipe_for

app = cyclopts.App(name="image", help="Build and look after the ephemeral OS that machines boot.")

app.command(
    "muster.cli.images:choose",
    name="choose",
    help="Say which image, with which kernel options, a machine or a tag's machines start.",
)
app.command("muster.cli.images:chosen", name="chosen", help="What a machine starts, and why.")

IMAGES = Path(
    os.environ.get("MUSTER_IMAGES")
    or f"{os.environ.get('MUSTER_DATA') or '/var/lib/muster'}/images"
)
Images = Annotated[
    Path, Parameter(help="Folder of images (MUSTER_IMAGES; else images in MUSTER_DATA).")
]


@Parameter(name="*")
@dataclass(frozen=True)
class LocalFiles:
    """The three files of a stock image."""

    kernel_file: Annotated[Path, Parameter(help="the kernel, uncompressed or bzImage")]
    initrd: Annotated[Path, Parameter(help="its initrd, which mounts root=squash:URL")]
    squashfs: Annotated[Path, Parameter(help="the root file system")]


P = ParamSpec("P")
T = TypeVar("T")


def refusals(command: Callable[P, T]) -> Callable[P, T]:
    """A refusal is one message on standard error and exit status 1."""

    @functools.wraps(command)
    def told(*arguments: P.args, **flags: P.kwargs) -> T:
        try:
            return command(*arguments, **flags)
        except ImageError as error:
            print(f"muster image: {error}", file=sys.stderr)
            sys.exit(1)

    return told


@app.command(name="build")
@refusals
def build_image(
    *,
    suite: str | None = None,
    arch: str | None = None,
    firmware: bool = True,
    refresh: bool = False,
    images: Images = IMAGES,
) -> None:
    """Build an image and put it in use; at once when this machine's recipe was built before.

    Parameters
    ----------
    suite
        Debian's code name; the default is the one that boots fastest, on any Debian machine.
    arch
        Debian's name of the machines' architecture, amd64 or arm64; this machine's by default.
    firmware
        With side packages of what NICs and storage controllers are given by their drivers, from
        the mirror's component non-free-firmware. Without it those devices are dead or do less.
    refresh
        Build even so, with the package versions that the mirrors have today.
    """
    console = Console()
    recipe = recipe_for(suite, arch=arch, firmware=firmware)
    with _progress(console, "starting") as progress:
        image = build(Library(images), recipe, progress=progress, refresh=refresh)
    console.print(_files_table(image, folded=True))
    console.print(f"in use: image [bold]{image.id[:12]}[/] ({image.suite}, {image.kernel_version})")


@app.command(name="import")
@refusals
def import_image(
    stream: str = streams.UBUNTU,
    /,
    *,
    release: str,
    arch: str = "amd64",
    kernel: str = "",
    version: str = "",
    keyring: Path = streams.KEYRING,
    keep: Annotated[int, Parameter(validator=cyclopts.validators.Number(gte=1))] = 2,
    files: LocalFiles | None = None,
    images: Images = IMAGES,
) -> None:
    """Take in a stock image, beside the others; the image in use stays in use.

    Parameters
    ----------
    stream
        URL of a simplestreams mirror, signed; the default is Ubuntu's images for netboot.
    release
        The release's code name: noble.
    arch
        Debian's name of the architecture: amd64, arm64.
    kernel
        The kernel of the stream (ga-24.04, hwe-24.04); the release's own by default. With local
        files: the kernel's version, for people.
    version
        A version of the stream (20260801); the newest by default.
    keyring
        OpenPGP keys of which one must have signed the stream.
    keep
        How many versions of this image stay; the image in use always does.
    files
        A kernel, an initrd and a squashfs from here, instead of a stream.
    """
    shelf, console = Library(images), Console()
    with _progress(console, "reading the stream") as progress:
        if files is not None:
            image = _from_here(shelf, files, release=release, arch=arch, kernel=kernel)
        else:
            words = {"release": release, "arch": arch, "kernel": kernel, "version": version}
            chosen = streams.choose(streams.offered(stream, keyring), **words)
            image = importing.import_offered(shelf, chosen, progress=progress)
    for old in importing.prune(shelf, image.product, keep=keep):
        console.print(f"removed {old.id[:12]}, {old.origin}", markup=False)
    console.print(_files_table(image))
    console.print(f"image {image.id[:12]}: {image.origin}", markup=False)


@app.command(name="list")
@refusals
def list_images(*, images: Images = IMAGES) -> None:
    """List the images, newest first; those in use (one an architecture) are marked."""
    shelf = Library(images)
    in_use = shelf.in_use_by_any()
    table = Table("", "image", "suite", "arch", "kernel", "squashfs", "from")
    for image in shelf.all():
        mark = "*" if image.id in in_use else ""
        size = _short(image.files["squashfs"].size)
        origin = image.origin or f"built here, {len(image.packages)} packages"
        words = (image.id[:12], image.suite, image.arch, image.kernel_version, size, origin)
        table.add_row(mark, *words)
    Console().print(table)


@app.command
@refusals
def show(image: str | None = None, /, *, packages: bool = False, images: Images = IMAGES) -> None:
    """Show one image (the one in use by default), its files and, when asked for, its packages.

    Parameters
    ----------
    image
        The id of an image, or as much of its start as is unique.
    packages
        List the packages as well, the largest first.
    """
    found = _chosen(Library(images), image)
    console = Console()
    console.print(f"image {found.id}\nrecipe {found.recipe}")
    console.print(_files_table(found))
    if packages:
        table = Table("package", "version", "installed KiB")
        for one in sorted(found.packages, key=lambda package: -package.installed_kib):
            table.add_row(one.name, one.version, str(one.installed_kib))
        console.print(table)


@app.command
@refusals
def iso(
    file: Path,
    /,
    *,
    server: str = "",
    address: str = "",
    gateway: str = "",
    dns: tuple[str, ...] = (),
    kernel_options: str = "",
    image: str | None = None,
    images: Images = IMAGES,
) -> None:
    """Write an ISO that starts machines where there is no DHCP server; for CD, USB and BMCs.

    Parameters
    ----------
    file
        Where to write it.
    server
        The server's URL as machines reach it; asked for on the machine's console when left out.
    address
        The machine's address with its prefix (10.0.0.9/24), "ask" for on its console; by DHCP when
        left out.
    gateway
        The way to a server on another network.
    dns
        Name servers.
    kernel_options
        More words for the kernel.
    image
        The image whose kernel and initrd are on it; the one in use by default.
    """
    words = Words(server, address or ("" if server else "ask"), gateway, dns, kernel_options)
    found = _chosen(Library(images), image)
    build_iso(Library(images), found, words, file)
    size = _short(file.stat().st_size)
    Console().print(f"{file}: image {found.id[:12]}, {size}", markup=False, soft_wrap=True)


@app.command
@refusals
def use(image: str, /, *, images: Images = IMAGES) -> None:
    """Make an image the one that machines of its architecture boot from now on."""
    Console().print(f"in use: image {Library(images).use(image).id[:12]}")


@app.command
@refusals
def verify(image: str | None = None, /, *, images: Images = IMAGES) -> int:
    """Hash an image's files again; exit with 1 when one is missing or damaged."""
    shelf = Library(images)
    found = _chosen(shelf, image)
    problems = shelf.verify(found.id)
    for problem in problems:
        Console(stderr=True).print(problem)
    if not problems:
        Console().print(f"image {found.id[:12]} is whole")
    return 1 if problems else 0


@app.command
@refusals
def remove(image: str, /, *, images: Images = IMAGES) -> None:
    """Remove an image that is not in use, with the files that only it has."""
    Library(images).remove(image)


@contextmanager
def _progress(console: Console, first: str) -> Iterator[Callable[[str], None]]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=console.is_terminal) as bar:
        task = bar.add_task(first, total=None)
        yield lambda text: bar.update(task, description=text[:100])


def _from_here(
    shelf: Library, files: LocalFiles, *, release: str, arch: str, kernel: str
) -> Manifest:
    taken = {"kernel": files.kernel_file, "initrd": files.initrd, "squashfs": files.squashfs}
    return importing.import_files(
        shelf, taken, release=release, arch=arch, kernel=kernel or "unknown"
    )


def _short(size: int) -> str:
    """A size in bytes: MiB with one decimal, below half a MiB whole KiB, rounded up."""
    if size < 1 << 19:
        return f"{-(-size // 1024)} KiB"
    return f"{size / 1048576:.1f} MiB"


def _chosen(shelf: Library, image: str | None) -> Manifest:
    if image is not None:
        return shelf.get(image)
    return shelf.in_use()


def _files_table(image: Manifest, *, folded: bool = False) -> Table:
    """Each file, or with `folded` one line for all of the firmware's side packages."""
    table = Table("file", "size", "sha256")
    packages = [entry.size for name, entry in image.files.items() if _is_package(name)]
    for name, entry in image.files.items():
        if not (folded and _is_package(name)):
            table.add_row(name, _short(entry.size), entry.sha256[:16])
    if folded and packages:
        table.add_row(f"firmware/* ({len(packages)} files)", _short(sum(packages)), "")
    return table


def _is_package(name: str) -> bool:
    return name.startswith(SIDE_PACKAGES)
