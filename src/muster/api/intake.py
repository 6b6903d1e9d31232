# SPDX-License-Identifier: Apache-2.0
"""What every door refuses before a handler sees it: no JSON, and text that no database keeps."""

from collections.abc import Iterator
from urllib.parse import unquote

from litestar.enums import RequestEncodingType
from litestar.exceptions import SerializationException

from muster.api.access import AnyRequest
from muster.wire.codec import BadMessage


async def check(request: AnyRequest) -> None:
    """Raise BadMessage naming what is wrong; parses the body, which the handler then reuses.

    U+0000 is refused everywhere, because PostgreSQL keeps it in no text (its manual, 8.3).
    """
    if "\0" in request.scope["path"]:
        raise BadMessage("path", "has the character U+0000")
    query = request.scope["query_string"].decode("latin-1")
    for pair in query.split("&") if "%00" in query else ():
        if "%00" in pair:
            name = unquote(pair.partition("=")[0]).replace("\0", "")
            raise BadMessage(name[:64] or "query", "has the character U+0000")
    expected = request.route_handler.parsed_fn_signature.parameters.get("data")
    if expected is None:
        return
    body = await request.body()
    if not body and not expected.has_default:
        raise BadMessage("body", "is missing")
    form = getattr(expected.kwarg_definition, "media_type", RequestEncodingType.JSON)
    if body and form == RequestEncodingType.JSON:
        await _check_json(request, body)
    elif b"%00" in body or b"\0" in body:
        raise BadMessage("body", "has the character U+0000")


async def _check_json(request: AnyRequest, body: bytes) -> None:
    try:
        message = await request.json()
    except SerializationException as error:
        raise BadMessage("body", f"not JSON: {error}") from error
    except RecursionError as error:
        raise BadMessage("body", "not JSON: nested too deeply") from error
    if b"\\u0000" in body:
        for path in _with_nul(message, ""):
            raise BadMessage(path or "body", "has the character U+0000")


def _with_nul(value: object, path: str) -> Iterator[str]:
    """The paths of the texts that hold U+0000, keys included."""
    if isinstance(value, str):
        if "\0" in value:
            yield path
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _with_nul(item, f"{path}[{i}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            if "\0" in key:
                yield path
            yield from _with_nul(item, f"{path}.{key}".lstrip("."))
