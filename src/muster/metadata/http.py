# SPDX-License-Identifier: Apache-2.0
"""The routes a machine uses after its kernel: the seed, the packed agent, the agent's protocol."""

from datetime import datetime
from typing import Annotated, Any

from litestar import MediaType, Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.params import HeaderParameter, Parameter

from muster.lifecycle import bmc, enlist, results, timeline
from muster.lifecycle.keyring import Keyring
from muster.lifecycle.policy import Policy
from muster.lifecycle.secrets import Forbidden
from muster.machine.phases import Purpose
from muster.metadata import maas, pack, seed
from muster.metadata.valve import Valve
from muster.store.engine import Store
from muster.wire.events import BATCH_LIMIT, Ack, Batch
from muster.wire.hello import Hello, Plan, Welcome

AnyRequest = Request[object, object, State]
Nonce = Annotated[str, Parameter(max_length=128, description="The boot's one-time secret.")]
Bearer = Annotated[
    str,
    HeaderParameter(
        name="Authorization",
        required=False,
        description="`Bearer TOKEN`, the session token from hello.",
    ),
]


def router() -> Router:
    """The route table of this door."""
    return Router(
        path="/",
        route_handlers=[
            meta_data,
            user_data,
            vendor_data,
            network_config,
            agent_file,
            say_hello,
            take_events,
            next_plan,
            script,
            secret,
            *(maas.preseed, maas.maas_meta_data, maas.maas_user_data),
        ],
        middleware=[Valve],
        tags=["machines' side"],
    )


@get("/metadata/{nonce:str}/meta-data", media_type=MediaType.TEXT, sync_to_thread=True)
def meta_data(nonce: Nonce, store: Store, now: datetime) -> str:
    """NoCloud meta-data."""
    return seed.meta_data(timeline.seed_served(store, now, nonce=nonce).id)


@get("/metadata/{nonce:str}/user-data", media_type=MediaType.TEXT, sync_to_thread=True)
def user_data(nonce: Nonce, store: Store, policy: Policy, now: datetime) -> str:
    """NoCloud user-data."""
    boot = timeline.seed_served(store, now, nonce=nonce, user_data=True)
    return seed.user_data(policy, nonce, Purpose(boot.purpose))


@get("/metadata/{nonce:str}/vendor-data", media_type=MediaType.TEXT, sync_to_thread=True)
def vendor_data(nonce: Nonce, store: Store, now: datetime) -> str:
    """NoCloud vendor-data: empty."""
    timeline.seed_served(store, now, nonce=nonce)
    return ""


@get("/metadata/{nonce:str}/network-config", media_type=MediaType.TEXT, sync_to_thread=True)
def network_config(nonce: Nonce, store: Store, now: datetime) -> str:
    """NoCloud network-config: empty, the initrd has set up the boot NIC."""
    timeline.seed_served(store, now, nonce=nonce)
    return ""


@get("/agent/agent.pyz", media_type="application/zip", sync_to_thread=False)
def agent_file() -> Response[bytes]:
    """The agent as one file; it is the same for everybody and holds no secret."""
    return Response(pack.packed(), media_type="application/zip")


@post("/agent/hello", status_code=200, request_max_body_size=1024 * 1024)
async def say_hello(
    request: AnyRequest, data: Hello, store: Store, policy: Policy, now: datetime
) -> Welcome:
    """Who the machine is; answers with its run, hold or denied."""
    welcome = await store.written(enlist.hello, policy, data, now)
    request.app.state.boots.leave(data.nonce)
    return welcome


@post("/agent/events", status_code=200, request_max_body_size=BATCH_LIMIT)
async def take_events(
    data: Batch, store: Store, policy: Policy, now: datetime, authorization: Bearer = ""
) -> Ack:
    """A batch of the run's events, in order; answers with the highest number stored."""
    return await store.written(results.ingest, policy, _token(authorization), data, now)


@post("/agent/plan", status_code=200)
async def next_plan(store: Store, now: datetime, authorization: Bearer = "") -> Plan:
    """What the run owes now that its scripts have ended: what they found may add others."""
    return await store.written(results.plan, _token(authorization), now)


@get("/agent/scripts/{sha256:str}", media_type="application/octet-stream", sync_to_thread=True)
def script(
    sha256: Annotated[str, Parameter(max_length=64)], store: Store, authorization: Bearer = ""
) -> Response[bytes]:
    """A script of the session's own run."""
    body = results.script(store, _token(authorization), sha256)
    return Response(body, media_type="application/octet-stream")


@get("/agent/secrets/{result:int}", media_type=MediaType.JSON, sync_to_thread=True)
def secret(
    result: Annotated[int, Parameter(ge=1, le=2**53)],
    store: Store,
    keyring: Keyring,
    now: datetime,
    authorization: Bearer = "",
) -> dict[str, Any]:
    """What a script of the session's own run may know and keeps to itself; {}: nothing."""
    return bmc.secret(store, keyring, _token(authorization), result, now)


def _token(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Forbidden("the header Authorization: Bearer TOKEN is missing", status=401)
    return token.strip()
