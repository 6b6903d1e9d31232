# SPDX-License-Identifier: Apache-2.0
"""Style sheets and scripts: ours, and those that set-up fetched; served under their hash for ever.

They are compressed once, when they are read.
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import NotFoundException

KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """One file; `address` changes with its bytes."""

    address: str
    kind: str
    body: bytes
    packed: bytes


@cache
def every() -> dict[str, Asset]:
    """By name. What set-up has not fetched is missing; `missing` says so."""
    found = {}
    for folder in ("static", "vendor"):
        for path in sorted(Path(str(files("muster.web") / folder)).glob("*.*")):
            if path.suffix in KINDS:
                found[path.name] = _read(path)
    return found


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    address = f"/assets/{hashlib.sha256(body).hexdigest()[:16]}/{path.name}"
    return Asset(address, KINDS[path.suffix], body, gzip.compress(body, 9, mtime=0))


def missing() -> list[str]:
    """The files that set-up should have fetched and has not."""
    wanted = ("tabler.min.css", "htmx.min.js", "cytoscape.min.js", "uPlot.iife.min.js")
    return [name for name in wanted if name not in every()]


def address(name: str) -> str:
    """Where a page finds the asset; of a missing one an address that answers 404."""
    found = every().get(name)
    return found.address if found else f"/assets/missing/{name}"


@get("/assets/{digest:str}/{name:str}", sync_to_thread=False)
def asset(digest: str, name: str, request: Request[object, object, State]) -> Response[bytes]:
    """One file; the address names its bytes, so it may be kept for ever."""
    found = every().get(name)
    if found is None or found.address != f"/assets/{digest}/{name}":
        raise NotFoundException(f"no asset {name!r} with this digest; 'make setup' fetches them")
    headers = {
        "Cache-Control": FOREVER,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(found.packed, media_type=found.kind, headers=headers)
    return Response(found.body, media_type=found.kind, headers=headers)
