# SPDX-License-Identifier: Apache-2.0
"""For other programs: /healthz and /metrics (Prometheus)."""

from dataclasses import dataclass

from litestar import MediaType, Response, get
from litestar.exceptions import ServiceUnavailableException
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, generate_latest

from muster import __version__
from muster.machine.states import State
from muster.store import counts
from muster.store.engine import CannotOpen, Store

MACHINES = Gauge("muster_machines", "Machines by state.", ["state"])
REFUSED = Counter("muster_refused_requests", "Requests with a wrong nonce, token or key.")


@dataclass(frozen=True)
class Health:
    """Given with 200 when the database answers."""

    status: str
    version: str


@get("/healthz", sync_to_thread=True, tags=["operation"])
def healthz(store: Store) -> Health:
    """Alive, and the database answers; else 503."""
    try:
        store.check()
    except CannotOpen as error:
        raise ServiceUnavailableException(str(error).partition("\n")[0]) from error
    return Health("ok", __version__)


@get("/metrics", sync_to_thread=True, media_type=MediaType.TEXT, include_in_schema=False)
def metrics(store: Store) -> Response[bytes]:
    """Prometheus text format."""
    with store.read() as tx:
        counted = counts.by_state(tx)
    for state in State:
        MACHINES.labels(state.value).set(counted.get(state.value, 0))
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)
