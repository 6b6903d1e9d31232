# SPDX-License-Identifier: Apache-2.0
"""JSON over HTTPS with one BMC; every way in which that fails has its own message and remedy.

TLS policies: `verify` (a CA that this machine trusts), `pin` (the certificate first seen, by its
SHA-256: BMCs come with certificates of their own making), `insecure` (none; plain HTTP only so).
A password is sent only after the policy has agreed to the certificate, and never to the target of
a redirect to another host.
"""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import aiohttp
from yarl import URL

from muster.power.drivers import Parameter, PowerError

TLS = {
    "tls": Parameter(
        "pin: the certificate first seen; verify: a CA trusted here; insecure: none",
        default="pin",
        choices=("pin", "verify", "insecure"),
    ),
    "tls_fingerprint": Parameter("SHA-256 of the BMC's certificate; learned when tls=pin"),
}
ANSWER_S = 10.0
ALL_S = 25.0
_ANSWER_LIMIT = 4 * 1024 * 1024
_REDIRECTS = 3

# The codes of X509_verify_cert_error_string, openssl/x509_vfy.h.
_VERIFY = {
    9: "is not valid yet: set the BMC's clock, or this machine's",
    10: "has expired: renew it on the BMC, or set tls=pin",
    18: "is signed by itself: install one of your CA, or set tls=pin",
    19: "is signed by a CA unknown here: install that CA here, or set tls=pin",
    20: "is signed by a CA unknown here: install that CA here, or set tls=pin",
    21: "is signed by a CA unknown here: install that CA here, or set tls=pin",
    62: "is for another name: set power_address to the name in it, or set tls=pin",
    64: "is for another address: set power_address to the name in it, or set tls=pin",
}


@dataclass(frozen=True)
class Peer:
    """Where and as whom; `headers` may hold a token and is never shown."""

    url: URL
    tls: str
    fingerprint: str
    user: str = ""
    password: str = field(default="", repr=False)
    # In place of a password: our certificate and its key, PEM.
    certificate: str = ""
    key: str = field(default="", repr=False)


class NotThere(PowerError):
    """HTTP 404."""


class NotLetIn(PowerError):
    """HTTP 401."""


@dataclass(frozen=True)
class Answer:
    """A success: headers and the JSON object, {} for an empty body."""

    headers: dict[str, str]
    body: dict[str, Any]


Refusal = Callable[[Peer, str, int, dict[str, str], bytes], PowerError]
"""What an HTTP status of 300 and more means: peer, "METHOD path", status, headers, body."""


def peer_of(parameters: dict[str, Any], *, port: int | None = None) -> Peer:
    """Reads power_address (a host, host:port or URL) and the rest; raises PowerError.

    `port`: in place of 443 where the address names none.
    """
    address = str(parameters["power_address"])
    if "://" not in address:
        bare_ipv6 = address.count(":") > 1 and not address.startswith("[")
        address = f"https://[{address}]" if bare_ipv6 else f"https://{address}"
    try:
        url = URL(address).origin()
        if port and url.explicit_port is None:
            url = url.with_port(port)
    except ValueError as error:
        wrong = f"power_address: {address!r} is no address: {error}"
        raise PowerError(wrong, permanent=True) from error
    tls = parameters.get("tls") or "pin"
    if url.scheme == "http" and tls != "insecure":
        raise PowerError(
            "power_address: http:// sends the password readable; use https, or set tls=insecure",
            permanent=True,
        )
    user, password = parameters.get("power_user", ""), parameters.get("power_pass", "")
    ours = (parameters.get("certificate") or "", parameters.get("key") or "")
    return Peer(url, tls, _hex(parameters.get("tls_fingerprint") or ""), user, password, *ours)


class Link:
    """An open conversation with one BMC, over one connection where the BMC allows it."""

    def __init__(self, peer: Peer, session: aiohttp.ClientSession, refusal: Refusal) -> None:
        self.peer = peer
        self._session = session
        self._refusal = refusal
        self._ssl = _with_key(peer) if peer.key else _ssl_of(peer)

    async def get(self, path: str) -> Answer:
        """GET; raises PowerError."""
        return await self.send("GET", path)

    async def send(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Any method, following redirects within the host; raises PowerError."""
        url = self.peer.url.join(URL(path, encoded=True))
        for _ in range(_REDIRECTS + 1):
            if url.origin() != self.peer.url:
                raise PowerError(
                    f"{self.peer.url.host} redirects to {url.origin()}, where no password is sent;"
                    f" set power_address={url.origin()} if that is the BMC",
                    permanent=True,
                )
            status, answered, raw = await self._once(method, url, body, headers)
            target = answered.get("Location", "")
            if status not in (301, 302, 303, 307, 308) or not target:
                if status >= 300:
                    raise self._refusal(self.peer, f"{method} {path}", status, answered, raw)
                return _read(self.peer, f"{method} {path}", answered, raw)
            url = url.join(URL(target))
        raise PowerError(
            f"{method} {path}: redirected {_REDIRECTS} times; is the BMC misconfigured?"
        )

    def use_token(self, token: str) -> None:
        """From now on a token instead of the password (DSP0266, 13.3.4)."""
        self._session.headers.pop("Authorization", None)
        self._session.headers["X-Auth-Token"] = token

    def use_password(self) -> None:
        """From now on the password again."""
        self._session.headers.pop("X-Auth-Token", None)
        self._session.headers["Authorization"] = _basic(self.peer)

    async def _once(
        self, method: str, url: URL, body: object, headers: dict[str, str] | None
    ) -> tuple[int, dict[str, str], bytes]:
        where = f"{method} {url.path}"
        try:
            async with self._session.request(
                method, url, json=body, headers=headers, ssl=self._ssl, allow_redirects=False
            ) as response:
                raw = b""
                async for piece in response.content.iter_any():
                    raw += piece
                    if len(raw) > _ANSWER_LIMIT:
                        raise PowerError(
                            f"{where}: the answer is longer than {_ANSWER_LIMIT} bytes"
                        )
                return response.status, dict(response.headers), raw
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            _refuse(self.peer, where, error)


def _said_no(
    peer: Peer, where: str, status: int, headers: dict[str, str], raw: bytes
) -> PowerError:
    """What an HTTP status means here. Wrong passwords are not tried again: BMCs lock accounts."""
    host, said = peer.url.host, _said(raw)
    match status:
        case 401:
            why = f"{host}: wrong password for user {peer.user!r}, or no such user; set power_pass"
            return NotLetIn(why, permanent=True)
        case 403:
            why = f"{host}: user {peer.user!r} may not {where}{said}; give it the Operator role"
            return PowerError(why, permanent=True)
        case 404:
            why = f"{where}: {host} has no such thing{said}; is node_id right?"
            return NotThere(why, permanent=True)
        case 429 | 503:
            wait = _retry_after(headers)
            why = f"{host}: is busy (HTTP {status}){said}; asked to wait {wait or 'a while'}"
            return PowerError(f"{why}{' s' if wait else ''}", retry_after=wait)
    return PowerError(f"{where}: {host} answers HTTP {status}{said}")


@asynccontextmanager
async def connect(
    peer: Peer, refusal: Refusal = _said_no, *, seconds: float = ALL_S
) -> AsyncIterator[Link]:
    """A link; everything done with it ends within `seconds`."""
    headers = {"Authorization": _basic(peer)} if peer.user else {}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=ANSWER_S)
    try:
        async with (
            asyncio.timeout(seconds),
            aiohttp.ClientSession(
                # The request's own `ssl` is a context when we show a certificate: see _with_key.
                connector=aiohttp.TCPConnector(ssl=_ssl_of(peer), limit=4),
                headers=headers,
                timeout=timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session,
        ):
            yield Link(peer, session, refusal)
    except TimeoutError as error:
        late = f"{peer.url.host}: not done within {seconds:g} s; is the BMC overloaded?"
        raise PowerError(late) from error


def _basic(peer: Peer) -> str:
    return aiohttp.encode_basic_auth(peer.user, peer.password)


async def fingerprint(peer: Peer) -> str:
    """SHA-256 of the certificate shown now, in hex; nothing is sent."""
    # A fingerprint that no certificate has: aiohttp ends the connection and says which it got.
    nobody = Peer(peer.url, "pin", "")
    async with connect(nobody) as link:
        try:
            async with link._session.get(nobody.url, ssl=_ssl_of(nobody)):
                pass
        except aiohttp.ServerFingerprintMismatch as error:
            return error.got.hex()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            _refuse(nobody, "TLS", error)
    raise PowerError(f"{peer.url.host}: shows no certificate; is the port right?")


def _ssl_of(peer: Peer) -> Any:
    if peer.tls == "pin":
        return aiohttp.Fingerprint(bytes.fromhex(peer.fingerprint or "00" * 32))
    return peer.tls == "verify"


def _with_key(peer: Peer) -> ssl.SSLContext:
    """A context that shows our certificate; a pinned peer is checked by the connector."""
    context = ssl.create_default_context()
    if peer.tls != "verify":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    # OpenSSL reads files only; this one is in memory and nobody else can open it.
    number = os.memfd_create("key", os.MFD_CLOEXEC)
    try:
        os.write(number, f"{peer.key}\n{peer.certificate}\n".encode())
        context.load_cert_chain(f"/dev/fd/{number}", password="")
    except (ssl.SSLError, OSError) as error:
        wrong = f"certificate, key: are no certificate in PEM and its own key ({error})"
        raise PowerError(wrong, permanent=True) from error
    finally:
        os.close(number)
    return context


def _hex(text: str) -> str:
    """64 hex digits, as people write them with colons; raises PowerError."""
    plain = text.replace(":", "").lower()
    if plain and (len(plain) != 64 or set(plain) - set("0123456789abcdef")):
        raise PowerError("tls_fingerprint: must be a SHA-256 in hex, 64 digits", permanent=True)
    return plain


def _refuse(peer: Peer, where: str, error: BaseException) -> NoReturn:
    """Raise the PowerError for what went wrong below HTTP."""
    host, permanent = peer.url.host, False
    match error:
        case aiohttp.ServerFingerprintMismatch():
            permanent = True
            why = (
                f"{host}: its certificate changed: it was {peer.fingerprint}, now it is"
                f" {error.got.hex()}; no password was sent. If you changed it, give the power"
                " parameters again without tls_fingerprint; if not, somebody else may answer there"
            )
        case aiohttp.ClientConnectorCertificateError():
            permanent = True
            code = getattr(error.certificate_error, "verify_code", 0)
            reason = _VERIFY.get(code, f"is refused ({error.certificate_error}); or set tls=pin")
            why = f"{host}: its certificate {reason}"
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            why = f"{host}: speaks no TLS that is allowed here ({error}); is the port right?"
        case aiohttp.ClientConnectorDNSError():
            why = f"power_address: the name {host} is not found; check it and the name servers"
        case aiohttp.SocketTimeoutError() if isinstance(error, aiohttp.ConnectionTimeoutError):
            why = f"{host}: no connection within 5 s; is the BMC connected, the address right?"
        case TimeoutError():
            why = (
                f"{where}: {host} took the request and did not answer within {ANSWER_S:g} s;"
                " if it stays so, restart the BMC"
            )
        case aiohttp.ClientConnectorError():
            why = f"{host}: cannot be reached: {error.strerror or error}; is the address right?"
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError():
            why = f"{where}: {host} broke off in the middle of its answer; it may be restarting"
        case aiohttp.ClientOSError():
            why = f"{where}: {host} closed the connection: {error.strerror or error}"
        case _:
            why = f"{where}: {host} does not answer as HTTP does: {error}"
    raise PowerError(why, permanent=permanent) from error


def _read(peer: Peer, where: str, headers: dict[str, str], raw: bytes) -> Answer:
    if not raw.strip():
        return Answer(headers, {})
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise PowerError(
            f"{where}: {peer.url.host} answers what is no JSON; is there a BMC at this address?"
        ) from error
    if not isinstance(body, dict):
        raise PowerError(f"{where}: {peer.url.host} answers JSON that is no object")
    return Answer(headers, body)


def _retry_after(headers: dict[str, str]) -> int | None:
    text = next((v for k, v in headers.items() if k.lower() == "retry-after"), "")
    # The other form, a date, depends on the BMC's clock, which is often wrong.
    return min(300, int(text)) if text.isascii() and text.isdigit() else None


def _said(raw: bytes) -> str:
    """The message of a Redfish error (DSP0266, 8.6), cleaned, or ""."""
    try:
        error = json.loads(raw)["error"]
        messages = error.get("@Message.ExtendedInfo") or [{}]
        text = str(messages[0].get("Message") or error.get("message") or "")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return ""
    text = "".join(c for c in text[:200] if c.isprintable()).strip()
    return f': "{text}"' if text else ""
