"""muster image ...: build images, look at them, choose the one that machines boot."""

import os
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from muster.images.build import build
from muster.images.library import Library
from muster.images.manifest import Manifest
from muster.images.recipe import recipe_for

app = cyclopts.App(name="image", help="Build and look after the ephemeral OS that machines boot.")

DATA = Path(os.environ.get("MUSTER_DATA", "/var/lib/muster"))
Data = Annotated[Path, Parameter(help="Folder of all that muster keeps (MUSTER_DATA).")]


@app.command(name="build")
def build_image(*, suite: str | None = None, refresh: bool = False, data: Data = DATA) -> None:
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
            library(data),
            recipe,
            progress=lambda text: bar.update(task, description=text[:100]),
            refresh=refresh,
        )
    console.print(_files_table(image))
    console.print(f"in use: image [bold]{image.id[:12]}[/] ({image.suite}, {image.kernel_version})")


@app.command(name="list")
def list_images(*, data: Data = DATA) -> None:
    """List the images, newest first; the one in use is marked."""
    shelf = library(data)
    in_use = shelf.current()
    table = Table("", "image", "suite", "kernel", "packages", "squashfs")
    for image in shelf.all():
        mark = "*" if in_use is not None and image.id == in_use.id else ""
        size = mebibytes(image.files["squashfs"].size)
        count = str(len(image.packages))
        table.add_row(mark, image.id[:12], image.suite, image.kernel_version, count, size)
    Console().print(table)


@app.command
def show(image: str | None = None, /, *, packages: bool = False, data: Data = DATA) -> None:
    """Show one image (the one in use by default), its files and, when asked for, its packages.

    Parameters
    ----------
    image
        The id of an image, or as much of its start as is unique.
    packages
        List the packages as well, the largest first.
    """
    found = _chosen(library(data), image)
    console = Console()
    console.print(f"image {found.id}\nrecipe {found.recipe}")
    console.print(_files_table(found))
    if packages:
        table = Table("package", "version", "installed KiB")
        for one in sorted(found.packages, key=lambda package: -package.installed_kib):
            table.add_row(one.name, one.version, str(one.installed_kib))
        console.print(table)


@app.command
def use(image: str, /, *, data: Data = DATA) -> None:
    """Make an image the one that machines boot from now on."""
    Console().print(f"in use: image {library(data).use(image).id[:12]}")


@app.command
def verify(image: str | None = None, /, *, data: Data = DATA) -> int:
    """Hash an image's files again; exit with 1 when one is missing or damaged."""
    shelf = library(data)
    found = _chosen(shelf, image)
    problems = shelf.verify(found.id)
    for problem in problems:
        Console(stderr=True).print(problem)
    if not problems:
        Console().print(f"image {found.id[:12]} is whole")
    return 1 if problems else 0


@app.command
def remove(image: str, /, *, data: Data = DATA) -> None:
    """Remove an image that is not in use, with the files that only it has."""
    library(data).remove(image)


def library(data: Path) -> Library:
    """Return the library of a data folder."""
    return Library(data / "images")


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
