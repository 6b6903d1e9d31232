# SPDX-License-Identifier: Apache-2.0
"""Keeps the boot loaders of the current image where TFTP serves them."""

import os
from pathlib import Path

import structlog

from muster.boot import grub
from muster.boot.arch import ANY, LOADERS, Client
from muster.images.errors import ManifestError
from muster.images.library import Library
from muster.images.manifest import Manifest

log = structlog.get_logger("loaders")


class Loaders:
    """An image that is built or chosen while the server runs is served without a restart."""

    def __init__(self, library: Library, folder: Path, url: str) -> None:
        self._library = library
        self._url = url
        self._folder = folder
        self._placed: list[str] | None = None

    def refresh(self) -> None:
        """Place the loaders when the current image is another than at the last look."""
        why = "no image"
        images: dict[str, Manifest] = {}
        for arch in sorted(set(LOADERS.values())):
            try:
                if image := self._library.current(arch):
                    images[arch] = image
            except ManifestError as error:
                why = f"the image in use is damaged: {error}"
        now = [image.id for image in images.values()]
        if now == self._placed:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._placed = now
        # Where GRUB looks for its configuration when it came by TFTP.
        (self._folder / "grub").mkdir(exist_ok=True)
        self._place("grub/grub.cfg", grub.start(self._url).encode())
        if not images:
            log.warning(f"{why}: machines cannot start; run 'muster image build'")
        for image in images.values():
            self._place_those_of(image)

    def lacks(self, kind: Client) -> str:
        """Why a kind of client that could be served is not, "" when its loader is there."""
        loaders = {kind.loader, kind.signed} - {""}
        if kind is ANY or any((self._folder / name).exists() for name in loaders):
            return ""
        return (
            f"no image for {kind.name} (option 93: {kind.number}):"
            f" run 'muster image build --arch {kind.arch}'"
        )

    def _place_those_of(self, image: Manifest) -> None:
        for name, arch in LOADERS.items():
            entry = image.files.get(f"loader/{name}")
            if entry and arch == image.arch:
                self._place(name, self._library.blob(entry.sha256).read_bytes())
        log.info("loaders placed", image=image.id[:12], suite=image.suite, arch=image.arch)

    def _place(self, name: str, body: bytes) -> None:
        part = self._folder / f"{name}.part"
        part.write_bytes(body)
        part.chmod(0o644)
        os.replace(part, self._folder / name)
