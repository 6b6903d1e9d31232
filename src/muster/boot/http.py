# SPDX-License-Identifier: Apache-2.0
"""The routes a machine uses before its kernel: scripts, boot files, the initrd's reports."""

import asyncio
import math
import random
from datetime import datetime
from functools import partial
from typing import Annotated

from litestar import MediaType, Request, Response, Router, get, head, post
from litestar.datastructures import State
from litestar.params import Parameter

from muster.boot import grub, ipxe, medium
from muster.boot.admission import Turnstile
from muster.boot.arch import ARCHITECTURES
from muster.boot.files import boot_file, loader_file
from muster.images.library import Library
from muster.lifecycle import enlist, timeline
from muster.lifecycle.policy import Policy
from muster.store.engine import Store
from muster.wire.events import PhaseReport

Short = Annotated[str, Parameter(max_length=256)]


def router() -> Router:
    """The route table of this door."""
    return Router(
        path="/boot",
        route_handlers=[
            *(start_script, ipxe_script, boot_script, grub_script, grub_script_size, medium_words),
            *(report, turn, boot_file, loader_file),
        ],
        tags=["machines' side"],
    )


@get("/grub/grub.cfg", media_type=MediaType.TEXT, sync_to_thread=False, tags=["machines' side"])
def grub_start(policy: Policy) -> str:
    """The first configuration of every GRUB that came by HTTP, which asks for this very path."""
    return grub.start(policy.url)


@head("/grub/grub.cfg", include_in_schema=False)
async def grub_start_size(policy: Policy) -> Response[None]:
    """GRUB asks how long a file is before it reads it (by UEFI HTTP boot)."""
    return _size(len(grub.start(policy.url)))


@head("/grub", include_in_schema=False)
async def grub_script_size() -> Response[None]:
    """Every answer has this length: a question about it decides nothing."""
    return _size(grub.LENGTH)


def _size(length: int) -> Response[None]:
    return Response(None, media_type=MediaType.TEXT, headers={"Content-Length": str(length)})


@get("/start.ipxe", media_type=MediaType.TEXT, sync_to_thread=False)
def start_script(policy: Policy) -> str:
    """The first script of every iPXE."""
    # Chance is the server's: iPXE has none, and those that fail together must not ask together.
    return ipxe.start(policy, pause_s=random.randint(3, 9))


@get("/loader/autoexec.ipxe", include_in_schema=False, sync_to_thread=False)
def ipxe_script(request: Request[object, object, State], policy: Policy) -> Response[str]:
    """Looked for by every iPXE that came by HTTP; by IPv4 it does better by DHCP."""
    here, _ = request.scope.get("server") or ("", 0)
    if ":" not in here or here.startswith("::ffff:"):
        return Response("no such boot file\n", status_code=404, media_type=MediaType.TEXT)
    text = ipxe.by_ipv6(policy, pause_s=random.randint(3, 9))
    return Response(text, media_type=MediaType.TEXT)


@get("/ipxe", media_type=MediaType.TEXT)
async def boot_script(
    request: Request[object, object, State],
    store: Store,
    policy: Policy,
    library: Library,
    now: datetime,
    uuid: Short = "",
    mac: Short = "",
    serial: Short = "",
    arch: Short = "",
    firmware: Short = "",
    busid: Short = "",
    medium: Short = "",
) -> str:
    """What this machine starts now."""
    kind = {"efi": "uefi", "pcbios": "bios"}.get(firmware, "")
    plan = await _plan(request, store, policy, library, now,
                       mac=mac, uuid=uuid, serial=serial, arch=arch, firmware=kind,
                       busid=busid)  # fmt: skip
    return ipxe.script(plan, policy, medium=bool(medium))


@get("/grub", media_type=MediaType.TEXT)
async def grub_script(
    request: Request[object, object, State],
    store: Store,
    policy: Policy,
    library: Library,
    now: datetime,
    uuid: Short = "",
    mac: Short = "",
    serial: Short = "",
    arch: Short = "",
) -> str:
    """What this machine starts now, for the GRUB of a UEFI machine."""
    plan = await _plan(request, store, policy, library, now,
                       mac=mac, uuid=uuid, serial=serial, arch=arch, firmware="uefi")  # fmt: skip
    return grub.script(plan, policy, mac=mac)


@get("/medium", media_type=MediaType.TEXT)
async def medium_words(
    request: Request[object, object, State],
    store: Store,
    policy: Policy,
    library: Library,
    now: datetime,
    uuid: Short = "",
    mac: Short = "",
    firmware: Short = "",
    image: Short = "",
) -> str:
    """What this machine, started from a medium, does now."""
    kind = firmware if firmware in ("bios", "uefi") else ""
    plan = await _plan(request, store, policy, library, now,
                       mac=mac, uuid=uuid, firmware=kind, how="started from a medium")  # fmt: skip
    return medium.answer(plan, policy, library, image)


async def _plan(
    request: Request[object, object, State],
    store: Store,
    policy: Policy,
    library: Library,
    now: datetime,
    *,
    arch: str = "",
    **seen: str,
) -> enlist.BootPlan:
    """The decision about who was `seen` so (fields of Caller), or that it is not its turn yet,

    which costs no transaction.
    """
    ip = request.client.host if request.client else ""
    architecture = ARCHITECTURES.get(arch or "x86_64", arch)
    caller = enlist.Caller(**seen, architecture=architecture, client_ip=ip)
    turns: Turnstile = request.app.state.boots
    who = caller.mac or caller.uuid or caller.client_ip
    if wait_s := turns.again(who):
        return enlist.not_yet(wait_s)
    decided = partial(_decided, turns, who, store, policy, library, caller, now)
    # Firmware waits for nothing else of ours: behind every report it would stand in line for a
    # thread (at 1,000 machines p99 of 557 ms instead of 133).
    return await asyncio.get_running_loop().run_in_executor(request.app.state.answering, decided)


def _decided(
    turns: Turnstile,
    who: str,
    store: Store,
    policy: Policy,
    library: Library,
    caller: enlist.Caller,
    now: datetime,
) -> enlist.BootPlan:
    crowded = turns.waiting
    plan = enlist.plan_boot(store, policy, library, caller, now, admit=lambda: turns.ask(who))
    turns.named(who, plan.nonce)
    if bool(crowded) != bool(turns.waiting):
        timeline.crowded(store, now, waiting=turns.waiting, at_once=policy.boots_at_once)
    return plan


@post("/report/{nonce:str}", status_code=204, request_max_body_size=16384)
async def report(
    request: Request[object, object, State],
    nonce: Annotated[str, Parameter(max_length=128)],
    data: PhaseReport,
    store: Store,
    now: datetime,
) -> None:
    """How far the initrd is."""
    await store.written(timeline.reported, now, nonce=nonce, report=data)
    # Its loader is done with the wire; and its root file system is.
    request.app.state.boots.leave(nonce)
    if data.phase in ("swift", "root") and data.status == "done":
        request.app.state.roots.leave(nonce)


@get("/turn/{nonce:str}", media_type=MediaType.TEXT, sync_to_thread=False)
def turn(
    request: Request[object, object, State], nonce: Annotated[str, Parameter(max_length=128)]
) -> str:
    """Whether the initrd may fetch the root file system now: "0", or seconds to ask again in."""
    wait_s: float = request.app.state.roots.ask(nonce)
    return f"{math.ceil(wait_s)}\n"
