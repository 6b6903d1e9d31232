# SPDX-License-Identifier: Apache-2.0
"""LXD and Incus: an instance, over their REST API with a client certificate.

Sends `GET /1.0/instances/NAME/state` to ask, `PUT` of the same with `start`, `unfreeze` or a forced
`stop`, and waits some seconds for the operation's error; `PATCH` of the instance's devices for the
boot device of a virtual machine (`boot.priority`, which stays; a container has no firmware).
Trust: with a token (`lxc config trust add`, `incus config trust add`) or trust password, a
certificate of our own is made and handed in once; a token also says which certificate the host
has. A frozen instance is neither on nor off. Vendor's document: "REST API", "Main API".
"""

import base64
import binascii
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from muster.power import https
from muster.power.drivers import Known, NoSuchBoot, Parameter, PowerError
from muster.power.https import Link, Peer

PARAMETERS = {
    "power_address": Parameter("host, host:port or https:// URL; port 8443", required=True),
    "instance_name": Parameter("which instance", required=True),
    "project": Parameter("its project", default="default"),
    "password": Parameter(
        "token of `lxc config trust add`, or trust password; forgotten once used", secret=True
    ),
    "certificate": Parameter("client certificate that the host trusts; made when empty", pem=True),
    "key": Parameter("its key", secret=True, pem=True),
    **https.TLS,
}
BMC = ("power_address", "project", "instance_name")
PORT = 8443

# Status codes of the REST API, "Status codes".
_STATES = {101: "on", 103: "on", 102: "off"}
_FROZEN = 110
_FAILURE = 400
_WAIT_S = 8


def unlearned(parameters: dict[str, Any]) -> bool:
    """True before the host trusts our certificate."""
    needs_pin = (parameters.get("tls") or "pin") == "pin" and not parameters.get("tls_fingerprint")
    return needs_pin or not parameters.get("key") or bool(parameters.get("password"))


async def learn(parameters: dict[str, Any], _: Known) -> dict[str, str]:
    """First whom to trust and a certificate of our own; when those are kept, the host's trust.

    A token works once: were it used before the key is kept, a crash would lose both.
    """
    token = _token(parameters.get("password") or "")
    learned: dict[str, str] = {}
    peer = https.peer_of(parameters, port=PORT)
    if peer.tls == "pin" and not peer.fingerprint:
        learned["tls_fingerprint"] = token.get("fingerprint") or await https.fingerprint(peer)
    if not peer.key:
        learned["certificate"], learned["key"] = _own_certificate()
    if learned:
        return learned
    async with talking(parameters) as link:
        server = _object((await link.get("/1.0")).body, "metadata")
        if server.get("auth") != "trusted":
            extensions = server.get("api_extensions") or []
            given = str(parameters.get("password"))
            body = {"type": "client", "name": "muster"}
            if token:
                body["trust_token"] = given
            # LXD before that extension takes a token as the password; Incus, which never had the
            # extension, takes trust_token only. Each ignores the other's word.
            if not token or "explicit_trust_token" not in extensions:
                body["password"] = given
            await link.send("POST", "/1.0/certificates", body)
    return {"password": ""}


async def state(parameters: dict[str, Any]) -> str:
    """Running and Started are on, Stopped is off; frozen and in between is unknown."""
    async with talking(parameters) as link:
        return state_of(await _status(link, parameters))


async def on(parameters: dict[str, Any]) -> None:
    """Start, or thaw when it is frozen."""
    async with talking(parameters) as link:
        status = await _status(link, parameters)
        if state_of(status) != "on":
            action = "unfreeze" if status == _FROZEN else "start"
            body = {"action": action, "timeout": 30}
            await act(link, "PUT", path_of(parameters, "/state"), body)


async def off(parameters: dict[str, Any]) -> None:
    """Stop by force: a system that hangs does not heed a graceful one."""
    async with talking(parameters) as link:
        if state_of(await _status(link, parameters)) != "off":
            body = {"action": "stop", "force": True, "timeout": 30}
            await act(link, "PUT", path_of(parameters, "/state"), body)


async def set_boot(parameters: dict[str, Any], device: str) -> None:
    """NICs before disks (pxe, http) or disks before NICs; it stays so until it is set again."""
    async with talking(parameters) as link:
        instance = await _bootable(link, parameters, device)
        if instance.get("type") != "container":
            body = {"devices": boot_devices(instance, device)}
            await act(link, "PATCH", path_of(parameters), body)


async def check_boot(parameters: dict[str, Any], device: str) -> None:
    """Containers boot from their disk only, and nothing boots from a CD."""
    async with talking(parameters) as link:
        await _bootable(link, parameters, device)


async def _bootable(link: Link, parameters: dict[str, Any], device: str) -> dict[str, Any]:
    """The instance; raises PowerError when it can never boot so."""
    if device == "cd":
        why = "a virtual machine of LXD has no CD drive; add one as a disk, on the host"
        raise NoSuchBoot(why, permanent=True)
    instance = _object((await link.get(path_of(parameters))).body, "metadata")
    if instance.get("type") == "container" and device != "disk":
        raise PowerError(
            f"{parameters['instance_name']} is a container, which has no firmware to boot from"
            " the network; only virtual machines can be commissioned",
            permanent=True,
        )
    return instance


def boot_devices(instance: dict[str, Any], device: str) -> dict[str, dict[str, str]]:
    """The instance's NICs and disks, those of `device` with the higher boot.priority."""
    first = "disk" if device == "disk" else "nic"
    devices = _object(instance, "expanded_devices") or _object(instance, "devices")
    return {
        name: {**given, "boot.priority": "10" if given["type"] == first else "1"}
        for name, given in devices.items()
        if given.get("type") in ("disk", "nic")
    }


@asynccontextmanager
async def talking(parameters: dict[str, Any]) -> AsyncIterator[Link]:
    """A link to the host, as the client that it trusts."""
    peer = https.peer_of({**parameters, "power_user": ""}, port=PORT)
    async with https.connect(peer, _refusal) as link:
        yield link


async def act(link: Link, method: str, path: str, body: object = None) -> None:
    """Begin an operation and wait some seconds for its end; raises PowerError with its error."""
    answer = (await link.send(method, path, body)).body
    operation = str(answer.get("operation") or "")
    if not operation.startswith("/1.0/operations/"):
        return
    ended = await link.get(f"{operation.partition('?')[0]}/wait?timeout={_WAIT_S}")
    outcome = _object(ended.body, "metadata")
    if outcome.get("status_code") == _FAILURE:
        said = _clean(outcome.get("err"))
        raise PowerError(f"{method} {path.partition('?')[0]}: {link.peer.url.host} failed: {said}")


def path_of(parameters: dict[str, Any], rest: str = "") -> str:
    """The instance's path and project."""
    name = quote(str(parameters["instance_name"]), safe="")
    return f"/1.0/instances/{name}{rest}?{project_of(parameters)}"


def project_of(parameters: dict[str, Any]) -> str:
    """The query that names the project."""
    return f"project={quote(str(parameters.get('project') or 'default'), safe='')}"


def state_of(status_code: object) -> str:
    """A status code of the REST API as a power state."""
    return _STATES.get(status_code, "unknown") if isinstance(status_code, int) else "unknown"


async def _status(link: Link, parameters: dict[str, Any]) -> int:
    found = _object((await link.get(path_of(parameters, "/state"))).body, "metadata")
    code = found.get("status_code")
    return code if isinstance(code, int) else 0


def _token(password: str) -> dict[str, str]:
    """What a trust token says, {} for a password."""
    try:
        said = json.loads(base64.b64decode(password, validate=True))
    except (binascii.Error, ValueError):
        return {}
    if not isinstance(said, dict) or not isinstance(said.get("secret"), str):
        return {}
    return {name: value for name, value in said.items() if isinstance(value, str)}


def _own_certificate() -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "muster")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .sign(key, hashes.SHA384())
    )
    pem = serialization.Encoding.PEM
    kind, open_ = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return certificate.public_bytes(pem).decode(), key.private_bytes(pem, kind, open_).decode()


def _refusal(
    peer: Peer, where: str, status: int, headers: dict[str, str], raw: bytes
) -> PowerError:
    host, said = peer.url.host, _error_of(raw)
    where = where.partition("?")[0]
    if status in (401, 403) and where.endswith("/certificates"):
        why = f"{host}: takes neither this token nor this trust password; give a new one (password)"
        return PowerError(f"{why}: {said}", permanent=True)
    if status in (401, 403):
        return PowerError(
            f"{host}: does not trust muster; run `lxc config trust add` (or incus) there and give"
            " the token as password",
            permanent=True,
        )
    if status == 404:
        why = f"{host}: {said}; are instance_name and project right?"
        return PowerError(f"{where}: {why}", permanent=True)
    return PowerError(f"{where}: {host} answers HTTP {status}: {said}", permanent=status == 400)


def _error_of(raw: bytes) -> str:
    try:
        body = json.loads(raw)
    except ValueError:
        return "without a reason"
    return _clean(body.get("error") if isinstance(body, dict) else "")


def _clean(said: object) -> str:
    return "".join(c for c in str(said or "")[:300] if c.isprintable()) or "without a reason"


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}
