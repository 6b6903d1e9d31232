# SPDX-License-Identifier: Apache-2.0
"""Renders a page: templates with escaping, the headers of every page, compressed on the wire."""

import gzip
from datetime import datetime
from typing import Any

import jinja2
from litestar import MediaType, Response

from muster import __version__
from muster.web import ansi, assets
from muster.web.session import AnyRequest, Looking

HEADERS = {
    # Nothing from elsewhere, nothing inline, no eval, no frame around us. Tabler's sheet has
    # its small pictures as data: addresses.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Vary": "Accept-Encoding",
}
NAVIGATION = (
    ("/", "Arrivals"),
    ("/machines", "Machines"),
    ("/clashes", "Clashes"),
    ("/topology", "Topology"),
    ("/scripts", "Scripts"),
    ("/power", "Power"),
    ("/images", "Images"),
    ("/events", "Events"),
    ("/settings", "Settings"),
)
PACK_FROM = 1024
"""Bytes; what is smaller does not get smaller."""


def size(number: float | None) -> str:
    """Bytes as people say them: 512 GiB."""
    value = float(number or 0)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError


def disk_size(number: float | None) -> str:
    """Bytes as disks are sold: 960 GB."""
    value = float(number or 0)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def moment(at: datetime | None) -> str:
    """As people write it, UTC."""
    return at.strftime("%Y-%m-%d %H:%M:%S") if at else "–"


def seconds(number: float | None) -> str:
    """A length of time, short."""
    if number is None:
        return ""
    if number < 100:
        return f"{number:.1f} s"
    minutes, rest = divmod(int(number), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago, in the largest unit that is whole."""
    if at is None:
        return "–"
    passed = max(0, int((now - at).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if passed >= length:
            return f"{passed // length} {unit} ago"
    return f"{passed} s ago"


_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("muster.web"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {
    "size": size,
    "disk_size": disk_size,
    "moment": moment,
    "seconds": seconds,
    "ago": ago,
    "clean": ansi.visible,
}
_templates.globals |= {"asset": assets.address, "version": __version__, "navigation": NAVIGATION}


def page(
    request: AnyRequest, template: str, looking: Looking | None, *, status: int = 200,
    headers: dict[str, str] | None = None, **content: Any,
) -> Response[bytes]:  # fmt: skip
    """The template as an answer; `looking` is None before signing in."""
    theme = request.cookies.get("theme", "")
    text = _templates.get_template(template).render(
        looking=looking,
        path=request.url.path,
        theme=theme if theme in ("light", "dark") else "",
        **content,
    )
    return answer(request, text.encode(), status=status, headers=headers)


def answer(
    request: AnyRequest, body: bytes, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response[bytes]:
    """HTML with the headers of every page, compressed when the browser takes it."""
    sent = HEADERS | (headers or {})
    if len(body) >= PACK_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        # Level 5: 2 ms for a page of 100 machines; 9 takes 9 ms for 3 % less.
        body = gzip.compress(body, 5, mtime=0)
        sent["Content-Encoding"] = "gzip"
    return Response(body, media_type=MediaType.HTML, status_code=status, headers=sent)
