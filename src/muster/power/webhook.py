# SPDX-License-Identifier: Apache-2.0
"""A switch behind HTTP: POST to switch, GET to ask, a regular expression reads the answer.

Parameter names and defaults are those of MAAS's webhook driver, so its endpoints work unchanged
(facts: MAAS 3.x documentation, "webhook" power type). Sends: `POST power_on_uri`,
`POST power_off_uri` with an empty body, `GET power_query_uri`.
"""

import re
from typing import Any

import aiohttp

from muster.power.drivers import Parameter, PowerError

PARAMETERS = {
    "power_on_uri": Parameter("URI that switches on (POST)", required=True),
    "power_off_uri": Parameter("URI that switches off (POST)", required=True),
    "power_query_uri": Parameter("URI that tells the state (GET)", required=True),
    "power_on_regex": Parameter("matches the answer when on", default=r"status.*\:.*running"),
    "power_off_regex": Parameter("matches the answer when off", default=r"status.*\:.*stopped"),
}

_TIMEOUT = aiohttp.ClientTimeout(total=25, connect=5)
_ANSWER_LIMIT = 64 * 1024


async def state(parameters: dict[str, Any]) -> str:
    """On or off by the expressions, unknown when neither matches."""
    answer = await _send("GET", parameters["power_query_uri"])
    for word in ("on", "off"):
        if re.search(parameters[f"power_{word}_regex"], answer):
            return word
    return "unknown"


async def on(parameters: dict[str, Any]) -> None:
    """POST to power_on_uri."""
    await _send("POST", parameters["power_on_uri"])


async def off(parameters: dict[str, Any]) -> None:
    """POST to power_off_uri."""
    await _send("POST", parameters["power_off_uri"])


async def _send(method: str, uri: str) -> str:
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.request(method, uri, allow_redirects=False) as response,
        ):
            body = await response.content.read(_ANSWER_LIMIT)
            if response.status >= 300:
                raise PowerError(f"{method} {uri}: HTTP {response.status}; is the URI right?")
            return body.decode(errors="replace")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise PowerError(f"{method} {uri}: {error or 'no answer within 25 s'}") from error
    except ValueError as error:
        raise PowerError(f"{uri!r} is not a URI: {error}", permanent=True) from error
