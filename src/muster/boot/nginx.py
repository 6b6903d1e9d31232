# SPDX-License-Identifier: Apache-2.0
"""The lines that make nginx serve boot files at a large site, straight from the image library.

Files are named by what they hash to and hold nothing secret, so they may be served by anybody and
kept for ever. Everything else stays with muster, which believes no proxy who a machine is.
"""

import re
from pathlib import Path
from urllib.parse import urlsplit

_PLAIN = re.compile(r"[A-Za-z0-9/._+-]+")


class CannotServe(ValueError):
    """nginx cannot be told so; says what to change."""


def snippet(images: Path, files_url: str) -> str:
    """A server block for `files_url` (http://HOST[:PORT]); raises CannotServe."""
    try:
        told = urlsplit(files_url)
        port = told.port or 80
    except ValueError as error:
        raise CannotServe(f"files_url {files_url!r}: {error}") from error
    if told.scheme != "http" or not told.hostname or told.path.strip("/"):
        raise CannotServe(
            f"files_url {files_url!r}: write http://HOST[:PORT]: the loaders fetch by plain HTTP,"
            " and check what they fetch"
        )
    folder = images.absolute()
    if not _PLAIN.fullmatch(str(folder)):
        raise CannotServe(f"images {str(folder)!r}: nginx needs a folder without spaces or quotes")
    return _BLOCK.format(
        blobs=f"{folder}/blobs/sha256", port=port, url=files_url.rstrip("/"), root=folder
    )


_BLOCK = """\
# Into /etc/nginx/conf.d/muster.conf; then start muster with --files-url {url}
# nginx's user must be able to read {root}
server {{
    listen {port};
    listen [::]:{port};
    access_log off;

    location ~ "^/boot/files/(?<blob>[0-9a-f]{{64}})/[a-z0-9.-]+$" {{
        limit_except GET {{ deny all; }}
        alias {blobs}/$blob;
        default_type application/octet-stream;
        sendfile on;
        # One fast machine must not hold a worker until its whole image is sent.
        sendfile_max_chunk 1m;
        tcp_nopush on;
        open_file_cache max=64 inactive=10m;
        add_header Cache-Control "public, max-age=31536000, immutable";
    }}

    location / {{
        return 404;
    }}
}}
"""
