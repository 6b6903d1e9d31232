# SPDX-License-Identifier: Apache-2.0
"""Wires the rooms into one ASGI application."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import Scope

import muster.api.app
import muster.boot.http
import muster.metadata.http
import muster.web.app
from muster import __version__
from muster.api import health, intake, people
from muster.api.budget import Budget
from muster.api.document import Document
from muster.boot.admission import Turnstile
from muster.images.library import Library
from muster.lifecycle.broadcast import Broadcaster
from muster.lifecycle.keyring import Keyring
from muster.lifecycle.policy import Policy
from muster.metadata.valve import Gate
from muster.server.relays import as_known
from muster.store.engine import Store

Clock = Callable[[], datetime]
Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]

ANSWERS = 8
"""Threads for boot answers alone. Writing, they take turns anyhow; but each gets the interpreter's

lock as often as every other thread, and with 1 or 2 the answers wait behind all else.
"""
AUDITS = 10
"""Refused requests written down a minute for one address, and twenty times as many in all."""


def utc_now() -> datetime:
    """The clock of the house."""
    return datetime.now(UTC)


def application(
    store: Store,
    policy: Policy,
    library: Library,
    *,
    keyring: Keyring,
    clock: Clock = utc_now,
    lifespan: list[Lifespan] | None = None,
) -> Litestar:
    """Every door, with what its handlers ask for by name."""
    return Litestar(
        route_handlers=[
            muster.api.app.router(),
            muster.boot.http.router(),
            muster.boot.http.grub_start,
            muster.boot.http.grub_start_size,
            muster.metadata.http.router(),
            muster.web.app.router(),
            health.healthz,
            health.metrics,
        ],
        dependencies=_arguments(store, policy, library, keyring, clock),
        exception_handlers=muster.api.app.ERRORS,
        before_request=intake.check,
        state=_state(store, policy, library, keyring, broadcaster := Broadcaster(store)),
        lifespan=[lambda _: broadcaster.running(), *(lifespan or [])],
        openapi_config=OpenAPIConfig(
            title="muster",
            version=__version__,
            path="/api",
            render_plugins=[Document()],
            # Programs call an operation by the name of its handler (muster/client.py).
            operation_id_creator=lambda handler, _method, _path: handler.handler_name,
            components=Components(
                security_schemes={
                    "apiKey": SecurityScheme(type="http", scheme="bearer"),
                }
            ),
        ),
        request_max_body_size=1024 * 1024,
        logging_config=None,
        pdb_on_exception=False,
        debug=False,
    )


def _arguments(
    store: Store, policy: Policy, library: Library, keyring: Keyring, clock: Clock
) -> dict[str, Provide]:
    """What handlers ask for by name; the policy is told as the request's machine must know it."""

    def policy_for(scope: Scope) -> Policy:
        return as_known(policy, scope)

    return {
        "store": Provide(lambda: store, sync_to_thread=False),
        "policy": Provide(policy_for, sync_to_thread=False),
        "library": Provide(lambda: library, sync_to_thread=False),
        "keyring": Provide(lambda: keyring, sync_to_thread=False),
        "now": Provide(clock, sync_to_thread=False),
    }


def _state(
    store: Store, policy: Policy, library: Library, keyring: Keyring, broadcaster: Broadcaster
) -> State:
    """What outlives a request and is no handler's argument."""
    return State(
        {
            "store": store,
            "library": library,
            "keyring": keyring,
            "broadcaster": broadcaster,
            "audits": Budget(AUDITS, total=20 * AUDITS),
            "failures": Budget(people.TRIES, total=10000),
            "agents": Gate(policy.agents_at_once),
            "answering": ThreadPoolExecutor(ANSWERS, "boot-answer"),
            "boots": Turnstile("boot", policy.boots_at_once),
            "roots": Turnstile("root", policy.roots_at_once),
        }
    )
