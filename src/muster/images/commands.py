"""muster image ...: build images, look at them, choose the one that machines boot."""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from muster.images.build import build
from muster.images.errors import ImageError
from muster.images.library import Library
from muster.images.manifest import Manifest
from muster.images.recipe import recipe_for

app = cyclopts.App(name="image", help="Build and look after the ephemeral OS that machines boot.")

IMAGES = Path(
    os.environ.get("MUSTER_IMAGES")
    or f"{os.environ.get('MUSTER_DATA') or '/var/lib/muster'}/images"
)
Images = Annotated[
    Path, Parameter(help="Folder of images (MUSTER_IMAGES; else images in MUSTER_DATA).")
]

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
    *, suite: str | None = None, refresh: bool = False, images: Images = IMAGES
) -> None:
    """Build an image and put it in use; at once when this machine's recipe was built before.

    Parameters
    ----------
    suite
        Debian's code name; the default is the one that boots fastest, on any Debian machine.
    refresh
        Build even so, with the package versions that the mirrors have today.
    """
    console = Console()
    recipe = recipe_for(suite)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        image = build(
            Library(images),
            recipe,
            progress=lambda text: bar.update(task, description=text[:100]),
            refresh=refresh,
        )
    console.print(_files_table(image))
    console.print(f"in use: image [bold]{image.id[:12]}[/] ({image.suite}, {image.kernel_version})")


@app.command(name="list")
@refusals
def list_images(*, images: Images = IMAGES) -> None:
    """List the images, newest first; the one in use is marked."""
    shelf = Library(images)
    in_use = shelf.current()
    table = Table("", "image", "suite", "kernel", "packages", "squashfs")
    for image in shelf.all():
        mark = "*" if in_use is not None and image.id == in_use.id else ""
        size = mebibytes(image.files["squashfs"].size)
        count = str(len(image.packages))
        table.add_row(mark, image.id[:12], image.suite, image.kernel_version, count, size)
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
def use(image: str, /, *, images: Images = IMAGES) -> None:
    """Make an image the one that machines boot from now on."""
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


def mebibytes(size: int) -> str:
    """Return a size in bytes as MiB with one decimal."""
    return f"{size / 1048576:.1f} MiB"


def _chosen(shelf: Library, image: str | None) -> Manifest:
    if image is not None:
        return shelf.get(image)
    return shelf.in_use()


def _files_table(image: Manifest) -> Table:
    table = Table("file", "size", "sha256")
    for name, entry in image.files.items():
        table.add_row(name, mebibytes(entry.size), entry.sha256[:16])
    return table
