# SPDX-License-Identifier: Apache-2.0
"""Images that machines can be started with."""

from dataclasses import dataclass

from litestar import get

from muster.images.library import Library
from muster.store.people import User


@dataclass(frozen=True)
class ImageShown:
    """An image; sizes in bytes by file."""

    id: str
    suite: str
    arch: str
    kernel_version: str
    current: bool
    sizes: dict[str, int]
    packages: int


@get("/images", sync_to_thread=True)
def list_images(library: Library, user: User) -> list[ImageShown]:
    """Every image in the library; `current` is what machines of its architecture start."""
    in_use = library.in_use_by_any()
    return [
        ImageShown(
            id=image.id,
            suite=image.suite,
            arch=image.arch,
            kernel_version=image.kernel_version,
            current=image.id in in_use,
            sizes={name: entry.size for name, entry in image.files.items()},
            packages=len(image.packages),
        )
        for image in library.all()
    ]


ROUTES = [list_images]
