# SPDX-License-Identifier: Apache-2.0
"""A switch behind HTTP: POST to switch, GET to ask, a regular expression reads the answer.

Parameter names and defaults are those of MAAS's webhook driver, so its endpoints work unchanged
(facts: MAAS 3.x documentation, "webhook" power type). Sends: `POST power_on_uri`,
`POST power_off_uri` with an empty body, `GET power_query_uri`; with power_token as a bearer token,
else with power_user and power_pass as Basic authentication.
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
    "power_user": Parameter("user for Basic authentication"),
    "power_pass": Parameter("password for Basic authentication", secret=True),
    "power_token": Parameter("bearer token, instead of user and password", secret=True),
    "power_verify_ssl": Parameter("check certificates of https", default="y", choices=("y", "n")),
}
BMC = ("power_query_uri",)

_TIMEOUT = aiohttp.ClientTimeout(total=25, connect=5)
_ANSWER_LIMIT = 64 * 1024


async def state(parameters: dict[str, Any]) -> str:
    """On or off by the expressions, unknown when neither matches."""
    answer = await _send("GET", "power_query_uri", parameters)
    for word in ("on", "off"):
        name = f"power_{word}_regex"
        try:
            if re.search(parameters[name], answer):
                return word
        except re.error as error:
            wrong = f"{name}: {parameters[name]!r} is not a regular expression: {error}"
            raise PowerError(wrong, permanent=True) from error
    return "unknown"


async def on(parameters: dict[str, Any]) -> None:
    """POST to power_on_uri."""
    await _send("POST", "power_on_uri", parameters)


async def off(parameters: dict[str, Any]) -> None:
    """POST to power_off_uri."""
    await _send("POST", "power_off_uri", parameters)


async def _send(method: str, name: str, parameters: dict[str, Any]) -> str:
    uri = parameters[name]
    headers = {}
    if parameters.get("power_token"):
        headers["Authorization"] = f"Bearer {parameters['power_token']}"
    elif parameters.get("power_user"):
        headers["Authorization"] = aiohttp.encode_basic_auth(
            parameters["power_user"], parameters.get("power_pass", "")
        )
    verify = parameters.get("power_verify_ssl", "y") == "y"
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.request(
                method, uri, allow_redirects=False, headers=headers, ssl=verify
            ) as response,
        ):
            if response.status >= 300:
                raise PowerError(f"{method} {uri}: HTTP {response.status}; is the URI right?")
            return (await _start_of(response)).decode(errors="replace")
    except aiohttp.ClientConnectorCertificateError as error:
        raise PowerError(
            f"{method} {uri}: the certificate is not trusted: {error.certificate_error}; install"
            " its CA here, or set power_verify_ssl=n",
            permanent=True,
        ) from error
    except (ValueError, aiohttp.NonHttpUrlClientError) as error:
        # Before ClientError, which aiohttp's errors about URLs are too.
        raise PowerError(f"{uri!r} is not a URI of http or https", permanent=True) from error
    except TimeoutError as error:
        raise PowerError(f"{method} {uri}: no answer within {_TIMEOUT.total:g} s") from error
    except aiohttp.ClientError as error:
        raise PowerError(f"{method} {uri}: {error}") from error


async def _start_of(response: aiohttp.ClientResponse) -> bytes:
    """At most _ANSWER_LIMIT bytes; one read() gives no more than has arrived so far."""
    body = b""
    while len(body) < _ANSWER_LIMIT and (more := await response.content.read(_ANSWER_LIMIT)):
        body += more
    return body[:_ANSWER_LIMIT]
