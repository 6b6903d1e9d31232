# SPDX-License-Identifier: Apache-2.0
"""Keeps the boot loaders of the current image where TFTP serves them."""

import os
from collections.abc import Sequence
from pathlib import Path

import structlog

from muster.boot import grub
from muster.boot.arch import LOADERS
from muster.images.errors import ManifestError
from muster.images.library import Library

log = structlog.get_logger("loaders")


class Loaders:
    """An image that is built or chosen while the server runs is served without a restart."""

    def __init__(self, library: Library, folder: Path, urls: Sequence[str]) -> None:
        self._library = library
        self._urls = urls
        self._folder = folder
        self._placed: str | None = None

    def refresh(self) -> None:
        """Place the loaders when the current image is another than at the last look."""
        why = "no image"
        try:
            image = self._library.current()
        except ManifestError as error:
            image, why = None, f"the image in use is damaged: {error}"
        now = image.id if image else ""
        if now == self._placed:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._placed = now
        # Where GRUB looks for its configuration when it came by TFTP.
        (self._folder / "grub").mkdir(exist_ok=True)
        self._place("grub/grub.cfg", grub.start(*self._urls).encode())
        if image is None:
            log.warning(f"{why}: machines cannot start; run 'muster image build'")
            return
        for name in LOADERS:
            entry = image.files.get(f"loader/{name}")
            if entry:
                self._place(name, self._library.blob(entry.sha256).read_bytes())
        log.info("loaders placed", image=image.id[:12], suite=image.suite)

    def _place(self, name: str, body: bytes) -> None:
        part = self._folder / f"{name}.part"
        part.write_bytes(body)
        part.chmod(0o644)
        os.replace(part, self._folder / name)
