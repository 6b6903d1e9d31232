# SPDX-License-Identifier: Apache-2.0
"""The route table of the front desk, and how errors are told to every door's callers."""

from datetime import UTC, datetime
from typing import Any

import structlog
from litestar import MediaType, Response, Router
from litestar.background_tasks import BackgroundTask
from litestar.exceptions import HTTPException, ValidationException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import ExceptionHandlersMap

from muster.api import (
    bmcs,
    bulk,
    choices,
    clashes,
    history,
    hosts,
    images,
    journal,
    live,
    machines,
    manifest,
    operations,
    people,
    power,
    profiles,
    rules,
    schemas,
    scripts,
    tags,
    tests,
    views,
)
from muster.api.access import SECURITY, AnyRequest, NoKey, role
from muster.api.budget import Budget
from muster.api.fields import Narrowing
from muster.api.health import REFUSED
from muster.api.repeats import REPLAYED, Repeats, Replayed
from muster.api.versions import Changed, Versions
from muster.lifecycle import timeline
from muster.lifecycle.keyring import KeyringError
from muster.lifecycle.repeats import OtherRequest
from muster.lifecycle.scripts import BadScript
from muster.lifecycle.secrets import Forbidden
from muster.machine.grammar import BadExpression
from muster.machine.manifest import BadManifest
from muster.machine.states import Refused
from muster.power.drivers import PowerError
from muster.store.engine import Conflict, Missing, Store
from muster.store.search import BadCursor
from muster.wire.codec import BadMessage

log = structlog.get_logger("http")


def router() -> Router:
    """Everything below /api/v1; whoever asks has a key, except for signing in."""
    with_key = Router(
        path="/",
        route_handlers=[
            *machines.ROUTES,
            *history.ROUTES,
            *tests.ROUTES,
            *bulk.ROUTES,
            *operations.ROUTES,
            *tags.ROUTES,
            *choices.ROUTES,
            *rules.ROUTES,
            *profiles.ROUTES,
            *manifest.ROUTES,
            *scripts.ROUTES,
            *power.ROUTES,
            *hosts.ROUTES,
            *bmcs.ROUTES,
            *journal.ROUTES,
            *clashes.ROUTES,
            *people.ROUTES,
            *views.ROUTES,
            *images.ROUTES,
            *schemas.ROUTES,
        ],
        dependencies=role("viewer"),
        middleware=[Repeats(), Versions(), Narrowing()],
        security=SECURITY,
    )
    return Router(path="/api/v1", route_handlers=[people.login, live.stream_events, with_key])


def _answer(status: int, detail: str, **more: Any) -> Response[dict[str, Any]]:
    headers = more.pop("headers", None)
    body = {"status_code": status, "detail": detail, **more}
    return Response(body, status_code=status, media_type=MediaType.JSON, headers=headers)


def _validation(_: AnyRequest, error: ValidationException) -> Response[dict[str, Any]]:
    """Names the field: "evidence.uuid: Expected `str`, got `int`"."""
    extra = error.extra if isinstance(error.extra, list) else []
    wrong = [
        {"field": _field(item), "why": item["message"]}
        for item in extra
        if isinstance(item, dict) and "message" in item
    ]
    detail = "; ".join(f"{item['field']}: {item['why']}" for item in wrong) or error.detail
    return _answer(400, detail, wrong=wrong)


def _field(item: dict[str, Any]) -> str:
    """The field's path as callers write it; Litestar keeps `data` and `state` for itself."""
    named = str(item.get("key") or item.get("source") or "data")
    if named == "condition" and item.get("source") == "query":
        return "filter"
    return {"data": "body", "in_state": "state"}.get(named, named)


def _too_large(request: AnyRequest, _: RequestEntityTooLarge) -> Response[dict[str, Any]]:
    """States the limit; the connection closes, as the rest of the body is still on its way."""
    limit = request.route_handler.resolve_request_max_body_size()
    detail = f"body: too large: the limit here is {limit} bytes"
    return _answer(413, detail, headers={"Connection": "close"})


def _http(_: AnyRequest, error: HTTPException) -> Response[dict[str, Any]]:
    return _answer(error.status_code, error.detail, headers=error.headers)


def _forbidden(request: AnyRequest, error: Forbidden) -> Response[dict[str, Any]]:
    """401 or 403, and an audit event: somebody tried."""
    store: Store = request.app.state.store
    address = request.client.host if request.client else ""
    told = f"{request.method} {request.url.path.split('?')[0][:100]}: {error}"
    if not request.url.path.startswith("/api/"):
        # The path holds the nonce, which is not for the log.
        told = str(error)
    REFUSED.inc()
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
    answer = _answer(error.status, str(error), headers=headers)
    audits: Budget = request.app.state.audits
    if audits.spend(address):
        # The metric above counts the rest.
        answer.background = BackgroundTask(
            timeline.audit, store, datetime.now(UTC), told, actor=address
        )
    return answer


def _no_key(_: AnyRequest, error: NoKey) -> Response[dict[str, Any]]:
    """Not audited: whoever shows no key has not tried one."""
    return _answer(401, str(error), headers={"WWW-Authenticate": "Bearer"})


def _bad_message(_: AnyRequest, error: BadMessage) -> Response[dict[str, Any]]:
    return _answer(400, str(error), wrong=[{"field": error.path, "why": error.why}])


def _bad_expression(_: AnyRequest, error: BadExpression) -> Response[dict[str, Any]]:
    why = str(error).removeprefix("filter: ")
    return _answer(400, str(error), wrong=[{"field": "filter", "why": why}])


def _bad_script(_: AnyRequest, error: BadScript) -> Response[dict[str, Any]]:
    wrong = [{"field": f"source, line {p.line}: {p.field}", "why": p.reason}
             for p in error.problems]  # fmt: skip
    return _answer(400, f"the script is refused: {error}", wrong=wrong)


def _bad_manifest(_: AnyRequest, error: BadManifest) -> Response[dict[str, Any]]:
    wrong = [{"field": f"line {p.line}: {p.field}", "why": p.reason} for p in error.problems]
    return _answer(400, str(error), wrong=wrong[:1000])


def _missing(_: AnyRequest, error: Missing) -> Response[dict[str, Any]]:
    return _answer(404, str(error))


def _conflict(_: AnyRequest, error: Exception) -> Response[dict[str, Any]]:
    return _answer(409, str(error))


def _replayed(_: AnyRequest, error: Replayed) -> Response[bytes]:
    kept = error.answer
    headers = {name: value for name, value in kept.headers.items() if name != "content-type"}
    kind = kept.headers.get("content-type", "application/json")
    return Response(
        kept.body, status_code=kept.status, media_type=kind, headers=headers | {REPLAYED: "true"}
    )


def _other_request(_: AnyRequest, error: OtherRequest) -> Response[dict[str, Any]]:
    why = str(error).partition(": ")[2]
    return _answer(422, str(error), wrong=[{"field": "Idempotency-Key", "why": why}])


def _changed(_: AnyRequest, error: Changed) -> Response[dict[str, Any]]:
    told = str(error)
    wrong = [{"field": told.partition(":")[0], "why": told.partition(": ")[2]}]
    return _answer(412, told, wrong=wrong, was=error.was, now=error.now)


def _bad_cursor(_: AnyRequest, error: BadCursor) -> Response[dict[str, Any]]:
    return _answer(400, f"after: {error}", wrong=[{"field": "after", "why": str(error)}])


def _power(_: AnyRequest, error: PowerError) -> Response[dict[str, Any]]:
    return _answer(400, str(error))


def _keyring(_: AnyRequest, error: KeyringError) -> Response[dict[str, Any]]:
    log.error("secrets cannot be used", reason=str(error))
    return _answer(500, str(error))


def _unexpected(request: AnyRequest, error: Exception) -> Response[dict[str, Any]]:
    log.error("request failed", method=request.method, path=request.url.path, exc_info=error)
    return _answer(500, "the server failed; its log says why")


ERRORS: ExceptionHandlersMap = {
    ValidationException: _validation,
    RequestEntityTooLarge: _too_large,
    HTTPException: _http,
    NoKey: _no_key,
    Forbidden: _forbidden,
    BadMessage: _bad_message,
    BadExpression: _bad_expression,
    BadScript: _bad_script,
    BadManifest: _bad_manifest,
    Missing: _missing,
    BadCursor: _bad_cursor,
    Changed: _changed,
    Replayed: _replayed,
    OtherRequest: _other_request,
    Conflict: _conflict,
    Refused: _conflict,
    PowerError: _power,
    KeyringError: _keyring,
    Exception: _unexpected,
}
