# SPDX-License-Identifier: Apache-2.0
"""The route table of the front desk, and how errors are told to every door's callers."""

from datetime import UTC, datetime
from typing import Any

import structlog
from litestar import MediaType, Response, Router
from litestar.background_tasks import BackgroundTask
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from muster.api import images, journal, machines, people
from muster.api.access import SECURITY, AnyRequest, role
from muster.api.health import REFUSED
from muster.lifecycle import timeline
from muster.lifecycle.secrets import Forbidden
from muster.machine.states import Refused
from muster.power.drivers import PowerError
from muster.store.engine import Conflict, Missing, Store
from muster.wire.codec import BadMessage

log = structlog.get_logger("http")


def router() -> Router:
    """Everything below /api/v1; whoever asks has a key, except for signing in."""
    return Router(
        path="/api/v1",
        route_handlers=[*machines.ROUTES, *journal.ROUTES, *people.ROUTES, *images.ROUTES],
        dependencies=role("viewer"),
        security=SECURITY,
    )


def _answer(status: int, detail: str, **more: Any) -> Response[dict[str, Any]]:
    headers = more.pop("headers", None)
    body = {"status_code": status, "detail": detail, **more}
    return Response(body, status_code=status, media_type=MediaType.JSON, headers=headers)


def _validation(_: AnyRequest, error: ValidationException) -> Response[dict[str, Any]]:
    """Names the field: "evidence.uuid: Expected `str`, got `int`"."""
    extra = error.extra if isinstance(error.extra, list) else []
    wrong = [
        {"field": str(item.get("key") or item.get("source") or "body"), "why": item["message"]}
        for item in extra
        if isinstance(item, dict) and "message" in item
    ]
    detail = "; ".join(f"{item['field']}: {item['why']}" for item in wrong) or error.detail
    return _answer(400, detail, wrong=wrong)


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
    answer.background = BackgroundTask(
        timeline.audit, store, datetime.now(UTC), told, actor=address
    )
    return answer


def _bad_message(_: AnyRequest, error: BadMessage) -> Response[dict[str, Any]]:
    return _answer(400, str(error), wrong=[{"field": error.path, "why": error.why}])


def _missing(_: AnyRequest, error: Missing) -> Response[dict[str, Any]]:
    return _answer(404, str(error))


def _conflict(_: AnyRequest, error: Exception) -> Response[dict[str, Any]]:
    return _answer(409, str(error))


def _power(_: AnyRequest, error: PowerError) -> Response[dict[str, Any]]:
    return _answer(400, str(error))


def _unexpected(request: AnyRequest, error: Exception) -> Response[dict[str, Any]]:
    log.error("request failed", method=request.method, path=request.url.path, exc_info=error)
    return _answer(500, "the server failed; its log says why")


ERRORS: ExceptionHandlersMap = {
    ValidationException: _validation,
    HTTPException: _http,
    Forbidden: _forbidden,
    BadMessage: _bad_message,
    Missing: _missing,
    Conflict: _conflict,
    Refused: _conflict,
    PowerError: _power,
    Exception: _unexpected,
}
