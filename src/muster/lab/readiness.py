# SPDX-License-Identifier: Apache-2.0
"""Waiting until the lab's server answers, or finding out why it does not."""

import contextlib
import http.client
import time
from pathlib import Path
from urllib.parse import urlsplit

from muster.lab.client import Lab
from muster.lab.errors import CannotStart
from muster.lab.folder import last_words

LIMIT_S = 120.0
# The lab holds the listening socket, so a request waits in its queue until a server takes it.
# Each try is cut short only to look whether the server has died meanwhile.
TRY_S = 1.0
DEATHS = 2


def await_server(lab: Lab, *, limit_s: float = LIMIT_S) -> None:
    """Return once GET /healthz is answered with 200. Raises CannotStart with the log's end."""
    address = urlsplit(str(lab.facts["server_url"])).netloc
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if _healthy(address):
            return
        server = lab.server()
        if server["deaths"] >= DEATHS:
            raise CannotStart(f"the server does not start:\n{last_words(Path(server['log']))}")
    log = Path(lab.server()["log"])
    raise CannotStart(f"the server did not answer within {limit_s:.0f} s:\n{last_words(log)}")


def _healthy(address: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=TRY_S)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    return False
