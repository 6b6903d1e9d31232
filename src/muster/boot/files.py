# SPDX-License-Identifier: Apache-2.0
"""Serves boot files by their hash: ranges, ETag, by sendfile(2); the bytes never change."""

import contextlib
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs

from litestar import asgi
from litestar.types import HTTPScope, Receive, Scope, Send
from starlette.datastructures import Headers
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.types import Scope as StarletteScope

from muster.boot.arch import LOADERS
from muster.images.errors import LibraryError, ManifestError
from muster.images.library import Library
from muster.images.manifest import FileEntry
from muster.lifecycle import timeline
from muster.store.engine import Store

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_RANGE = re.compile(r"bytes (\d+)-\d+/\d+")
ZERO_COPY = "http.response.zerocopysend"
"""The ASGI extension by which the kernel sends a file; the real server has it."""
THROUGH = "muster.relay"
"""In the scope of a request that came through a relay: where machines reach that."""


class BootFile(FileResponse):
    """Starlette's file response, sent by the kernel where the server can have it do that.

    Elsewhere, and for many ranges at once, in chunks of 1 MiB (0.5 s of CPU a GiB instead of 1.3).
    """

    chunk_size = 1024 * 1024

    async def __call__(self, scope: StarletteScope, receive: Any, send: Any) -> None:
        """Answer one request."""
        if _matches(scope, self.headers["etag"]):
            await Response(status_code=304, headers=self._lasting())(scope, receive, send)
            return
        if scope["method"] != "GET" or ZERO_COPY not in scope.get("extensions", ()):
            await super().__call__(scope, receive, send)
            return
        start = await self._start(scope, receive)
        part = _part(start)
        if part is None:
            await super().__call__(scope, receive, send)
            return
        self.status_code = start["status"]
        with open(self.path, "rb") as file:
            # What is not in memory yet is read ahead now, not while everybody waits in sendfile.
            os.posix_fadvise(file.fileno(), *part, os.POSIX_FADV_WILLNEED)
            await send(start)
            await send({"type": ZERO_COPY, "file": file, "offset": part[0], "count": part[1]})

    async def _start(self, scope: StarletteScope, receive: Any) -> dict[str, Any]:
        """Status and headers as Starlette decides them: those of HEAD are those of GET."""
        told: list[dict[str, Any]] = []

        async def keep(message: Any) -> None:
            told.append(message)

        await super().__call__({**scope, "method": "HEAD"}, receive, keep)
        return told[0]

    def _lasting(self) -> dict[str, str]:
        return {name: self.headers[name] for name in ("etag", "cache-control")}


def _matches(scope: StarletteScope, etag: str) -> bool:
    """Whether the caller has this very file already (RFC 9110, 13.1.2)."""
    known = Headers(scope=scope).get("if-none-match", "")
    return etag in (word.strip().removeprefix("W/") for word in known.split(","))


def _part(start: dict[str, Any]) -> tuple[int, int] | None:
    """Offset and count of what this answer sends of the file; None: several parts, or nothing."""
    headers = Headers(raw=start["headers"])
    size = int(headers.get("content-length", "0"))
    if start["status"] == 200 and size:
        return 0, size
    found = _RANGE.fullmatch(headers.get("content-range", ""))
    return (int(found[1]), size) if start["status"] == 206 and found else None


@asgi("/files", is_mount=True, copy_scope=True)
async def boot_file(scope: Scope, receive: Receive, send: Send) -> None:
    """GET or HEAD /boot/files/SHA256/NAME."""
    scope = cast("HTTPScope", scope)
    sha256, _, name = scope["path"].strip("/").partition("/")
    library: Library = scope["litestar_app"].state.library
    path = _blob(library, sha256) if _NAME.fullmatch(name) else None
    # The bytes under this address never change.
    keep = "public, max-age=31536000, immutable"
    response = _respond(scope, path, etag=sha256, name=name, keep=keep)
    try:
        await response(scope, receive, send)  # type: ignore[arg-type]
    except OSError as error:
        await _tell(scope, f"{name} broken off: {error.strerror or error}", failed=True)
        return
    if response.status_code in (200, 206):
        relay = scope.get(THROUGH, "")
        await _tell(scope, f"{name} asked of the relay {relay}" if relay else f"{name} fetched")


@asgi("/loader", is_mount=True, copy_scope=True)
async def loader_file(scope: Scope, receive: Receive, send: Send) -> None:
    """GET or HEAD /boot/loader/NAME, for UEFI HTTP boot and for other people's TFTP."""
    scope = cast("HTTPScope", scope)
    name = scope["path"].strip("/")
    library: Library = scope["litestar_app"].state.library
    entry = _loader(library, name)
    path = _blob(library, entry.sha256) if entry else None
    etag = entry.sha256 if entry else ""
    response = _respond(scope, path, etag=etag, name=name, keep="no-cache")
    # Firmware that goes away in the middle asks again, or its boot stops at this phase.
    with contextlib.suppress(OSError):
        await response(scope, receive, send)  # type: ignore[arg-type]


def _loader(library: Library, name: str) -> FileEntry | None:
    try:
        image = library.current(LOADERS[name]) if name in LOADERS else None
    except ManifestError:
        return None
    return image.files.get(f"loader/{name}") if image else None


def _blob(library: Library, sha256: str) -> Path | None:
    try:
        return library.blob(sha256)
    except LibraryError:
        return None


def _stat(path: Path | None) -> os.stat_result | None:
    """None where there is no file: the image may have been removed in this very moment."""
    try:
        return path.stat() if path else None
    except OSError:
        return None


def _respond(scope: HTTPScope, path: Path | None, *, etag: str, name: str, keep: str) -> Response:
    if scope["method"] not in ("GET", "HEAD"):
        return PlainTextResponse("only GET and HEAD\n", 405, {"Allow": "GET, HEAD"})
    found = _stat(path)
    if path is None or found is None:
        return PlainTextResponse(f"no such boot file: {name[:100]!r}\n", 404)
    kind = "application/efi" if name.endswith(".efi") else "application/octet-stream"
    return BootFile(
        path,
        media_type=kind,
        stat_result=found,
        headers={"ETag": f'"{etag}"', "Cache-Control": keep},
    )


async def _tell(scope: HTTPScope, detail: str, *, failed: bool = False) -> None:
    """A line for the timeline of the boot that the loader named."""
    boot = parse_qs(scope["query_string"].decode("latin-1")).get("boot", [""])[0]
    # A relay sends the bytes itself and tells with HEAD.
    if boot.isalnum() and (scope["method"] == "GET" or scope.get(THROUGH)):
        store: Store = scope["litestar_app"].state.store
        now = datetime.now(UTC)
        await store.written(
            timeline.file_fetched, now, boot_id=boot[:32], detail=detail, failed=failed
        )
