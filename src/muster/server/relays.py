# SPDX-License-Identifier: Apache-2.0
"""Requests that come through a relay: who asked it, and under which address machines know it.

Only what connects from an address of the setting `relays` is believed; anybody else's headers are
ignored, as if they were not there.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast
from urllib.parse import urlsplit

from litestar.types import ASGIApp, Receive, Scope, Send
from starlette.datastructures import Headers

from muster.boot.files import THROUGH
from muster.boot.relay import CALLER, RELAY, usable_url
from muster.lifecycle.policy import Policy
from muster.server.settings import BadSettings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(words: Iterable[str]) -> tuple[Network, ...]:
    """The addresses and networks of the setting; raises BadSettings naming the wrong one."""
    found = []
    for word in words:
        try:
            found.append(ipaddress.ip_network(word))
        except ValueError as error:
            raise BadSettings(f"relays: {error}; write ADDRESS or NETWORK/PREFIX") from error
    return tuple(found)


class Relays:
    """The application behind its relays."""

    def __init__(self, app: ASGIApp, believed: tuple[Network, ...]) -> None:
        self._app = app
        self._believed = believed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        self._believe(cast("dict[str, Any]", scope))
        await self._app(scope, receive, send)

    def _believe(self, scope: dict[str, Any]) -> None:
        if scope["type"] != "http" or not self._comes_through(scope):
            return
        headers = Headers(scope=scope)
        if caller := _address(headers.get(CALLER, "")):
            scope["client"] = (str(caller), 0)
        scope[THROUGH] = usable_url(headers.get(RELAY, ""))

    def _comes_through(self, scope: dict[str, Any]) -> bool:
        client = scope.get("client")
        address = _address(client[0]) if client else None
        return address is not None and any(address in network for network in self._believed)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket for both families shows an IPv4 caller so.
    return getattr(address, "ipv4_mapped", None) or address


def as_known(policy: Policy, scope: Scope) -> Policy:
    """The policy as this request's machine must be told it: all it needs, it gets by its relay.

    A machine that came by IPv6 may have nothing else: it is told the address that it came to.
    """
    if url := str(scope.get(THROUGH, "")):
        return replace(policy, url=url, files_url="", metadata_url="")
    host, port = scope.get("server") or ("", 0)
    here = _address(host) if ":" in host else None
    if here is None or here.version == 4 or here.is_link_local:
        return policy
    return replace(
        policy,
        url=by_ipv6_url(policy.url, str(here), port or 80),
        files_url=_reachable(policy.files_url),
        metadata_url=_reachable(policy.metadata_url),
    )


def by_ipv6_url(url: str, address: str, port: int) -> str:
    """The server's URL for machines with IPv6: as it is where it has a name, else by `address`."""
    return _reachable(url) or f"http://[{address}]:{port}"


def _reachable(url: str) -> str:
    """The URL, "" when it names an IPv4 address."""
    address = _address(urlsplit(url).hostname or "")
    return "" if address is not None and address.version == 4 else url
