# SPDX-License-Identifier: Apache-2.0
"""What every door refuses before a handler sees it: no JSON, and text that no database keeps."""

from urllib.parse import unquote

from litestar import Response
from litestar.enums import RequestEncodingType
from litestar.exceptions import SerializationException

from muster.api.access import AnyRequest
from muster.wire.codec import BadMessage


async def check(request: AnyRequest) -> Response[None] | None:
    """Raise BadMessage naming what is wrong; parses the body, which the handler then reuses.

    U+0000 is refused everywhere, because PostgreSQL keeps it in no text (its manual, 8.3); in a
    body that is the part of `wire.codec.Limited`, in a file of a form (Excel writes UTF-16) of its
    reader. Answers OPTIONS.
    """
    if request.method == "OPTIONS":
        return _allowed(request)
    if "\0" in request.scope["path"]:
        raise BadMessage("path", "has the character U+0000")
    query = request.scope["query_string"].decode("latin-1")
    for pair in query.split("&") if "%00" in query else ():
        if "%00" in pair:
            name = unquote(pair.partition("=")[0]).replace("\0", "")
            raise BadMessage(name[:64] or "query", "has the character U+0000")
    expected = request.route_handler.parsed_fn_signature.parameters.get("data")
    if expected is None:
        return None
    body = await request.body()
    if not body and not expected.has_default:
        raise BadMessage("body", "is missing")
    form = getattr(expected.kwarg_definition, "media_type", RequestEncodingType.JSON)
    if body and form == RequestEncodingType.JSON:
        await _check_json(request)
    elif form != RequestEncodingType.MULTI_PART and (b"%00" in body or b"\0" in body):
        raise BadMessage("body", "has the character U+0000")
    return None


def _allowed(request: AnyRequest) -> Response[None]:
    """Litestar's own answer names the first method of a path only (2.25)."""
    path = request.scope["path_template"]
    methods = {m for route in request.app.routes if route.path_format == path
               for m in getattr(route, "methods", ())}  # fmt: skip
    return Response(None, status_code=204, headers={"Allow": ", ".join(sorted(methods))})


async def _check_json(request: AnyRequest) -> None:
    try:
        await request.json()
    except SerializationException as error:
        raise BadMessage("body", f"not JSON: {error}") from error
    except RecursionError as error:
        raise BadMessage("body", "not JSON: nested too deeply") from error
