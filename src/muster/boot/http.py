# SPDX-License-Identifier: Apache-2.0
"""The routes a machine uses before its kernel: scripts, boot files, the initrd's reports."""

from datetime import datetime
from typing import Annotated

from litestar import MediaType, Request, Router, get, post
from litestar.datastructures import State
from litestar.params import Parameter

from muster.boot import ipxe
from muster.boot.arch import ARCHITECTURES
from muster.boot.files import boot_file, loader_file
from muster.images.errors import ManifestError
from muster.images.library import Library
from muster.images.manifest import Manifest
from muster.lifecycle import enlist, timeline
from muster.lifecycle.policy import Policy
from muster.store.engine import Store
from muster.wire.events import PhaseReport

Short = Annotated[str, Parameter(max_length=256)]


def router() -> Router:
    """The route table of this door."""
    return Router(
        path="/boot",
        route_handlers=[start_script, boot_script, report, boot_file, loader_file],
        tags=["machines' side"],
    )


@get("/start.ipxe", media_type=MediaType.TEXT, sync_to_thread=False)
def start_script(policy: Policy) -> str:
    """The first script of every iPXE."""
    return ipxe.start(policy)


@get("/ipxe", media_type=MediaType.TEXT, sync_to_thread=True)
def boot_script(
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
) -> str:
    """What this machine starts now."""
    architecture = ARCHITECTURES.get(arch or "x86_64", arch)
    image, refusal = _image_for(library, architecture)
    caller = enlist.Caller(
        mac=mac,
        uuid=uuid,
        serial=serial,
        architecture=architecture,
        firmware={"efi": "uefi", "pcbios": "bios"}.get(firmware, ""),
        client_ip=request.client.host if request.client else "",
    )
    plan = enlist.plan_boot(store, policy, caller, now, refusal=refusal)
    return ipxe.script(plan, policy, image)


def _image_for(library: Library, architecture: str) -> tuple[Manifest | None, str]:
    """The image in use when it fits, else why there is none."""
    try:
        image = library.current()
    except ManifestError as error:
        return None, f"the image in use is damaged, run 'muster image build': {error}"
    if image is None or image.arch != architecture:
        return None, f"no image for {architecture}: run 'muster image build'"
    return image, ""


@post("/report/{nonce:str}", status_code=204, sync_to_thread=True, request_max_body_size=16384)
def report(
    nonce: Annotated[str, Parameter(max_length=128)],
    data: PhaseReport,
    store: Store,
    now: datetime,
) -> None:
    """How far the initrd is."""
    timeline.reported(store, now, nonce=nonce, report=data)
