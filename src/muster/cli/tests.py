# SPDX-License-Identifier: Apache-2.0
"""Commissioning and testing machines, and judging what came out."""

import json
from typing import Annotated, Any

from cyclopts import Parameter

from muster.cli.acting import act
from muster.cli.client import ApiError, Client, fail, machine_path
from muster.cli.verbs import watch_all
from muster.cli.words import plain

Words = Annotated[list[str], Parameter(negative="", consume_multiple=True)]


def commission(
    machine: str,
    /,
    *more: str,
    watch: bool = False,
    wait: bool = False,
    enable_ssh: bool = False,
    script: Words | None = None,
    test: Words | None = None,
    param: Words | None = None,
    destroy: str = "",
    bmc_config: bool | None = None,
    skip_bmc_config: bool = False,
) -> int:
    """Accept machines, switch them on, run every commissioning script, then the tests.

    Parameters
    ----------
    machine
        Name or id
    more
        More of them
    watch
        Stay until the end; exit status 1 when a machine is not Ready then
    wait
        Stay until the end, with a line for every step; exit status 1 when one run does not pass
    enable_ssh
        Keep them on afterwards, open to the operator's SSH keys
    script
        Names or tags of your own scripts; without: all but those tagged noauto
    test
        Names or tags of tests, or none; without: those tagged commissioning
    param
        [SCRIPT.]NAME=VALUE
    destroy
        The machine's name again, when a chosen test destroys what is on its disks
    bmc_config
        Make a user for muster in its BMC, or only look; without: as the server's settings say
    skip_bmc_config
        Leave its BMC alone altogether
    """
    body = _choice(script or [], test, param or [], destroy) | {"enable_ssh": enable_ssh}
    body |= {"skip_bmc_config": skip_bmc_config, "bmc_config": bmc_config}
    return _start([machine, *more], "commission", body, watch=watch, wait=wait)


def run_tests(
    machine: str,
    /,
    *tests: str,
    also: Words | None = None,
    watch: bool = False,
    wait: bool = False,
    param: Words | None = None,
    destroy: str = "",
) -> int:
    """Switch a machine on and test its hardware.

    Parameters
    ----------
    machine
        Name or id
    tests
        Names or tags (quick, standard, burn-in); without: those tagged commissioning
    also
        More machines
    watch
        Stay until the end; exit status 1 when the machine is not Ready then
    wait
        Stay until the end, with a line for every step; exit status 1 when the run does not pass
    param
        [SCRIPT.]NAME=VALUE
    destroy
        The machine's name again, when a chosen test destroys what is on its disks
    """
    body = _choice([], list(tests) or None, param or [], destroy)
    return _start([machine, *(also or [])], "test", body, watch=watch, wait=wait)


def override(machine: str, /, *more: str, reason: str) -> int:
    """Call machines that failed their tests Ready.

    Parameters
    ----------
    machine
        Name or id
    more
        More of them
    reason
        Why; it stays on the record
    """
    return act("override", [machine, *more], reason=reason)


def suppress(result: int, /, *, reason: str = "") -> None:
    """Do not count a result; without a reason it counts again.

    Parameters
    ----------
    result
        Its number, as `muster show` tells it
    reason
        Why
    """
    found = _ask(f"/results/{result}/suppress", {"reason": reason})
    print(plain(f"result {result} ({found['name']}): {found['suppressed'] or 'counts again'}"))


def findings(machine: str, /) -> None:
    """What scripts found beside the inventory: LLDP neighbours, subnets ... as JSON.

    Parameters
    ----------
    machine
        Name or id
    """
    try:
        found = Client().get(machine_path(machine, "/findings"))
    except ApiError as error:
        fail(str(error))
    print(json.dumps({one["name"]: one["body"] for one in found}, indent=2))


def _choice(
    scripts: list[str], tests: list[str] | None, params: list[str], destroy: str
) -> dict[str, Any]:
    body: dict[str, Any] = {"parameters": parameters(params)}
    body |= {"destroy": [destroy]} if destroy else {}
    body |= {"scripts": scripts} if scripts else {}
    return body | ({} if tests is None else {"tests": tests})


def parameters(words: list[str]) -> dict[str, dict[str, str]]:
    """[SCRIPT.]NAME=VALUE as values by script ("*": every) and name; ends where one is not so."""
    found: dict[str, dict[str, str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            fail(f"{word!r}: write [SCRIPT.]NAME=VALUE")
        script, _, short = name.rpartition(".")
        found.setdefault(script or "*", {})[short] = value
    return found


def _start(names: list[str], action: str, body: dict[str, Any], *, watch: bool, wait: bool) -> int:
    failed = act(action, names, wait=wait, **body)
    return watch_all(Client(), names) if watch and not failed else failed


def _ask(path: str, body: object) -> Any:
    try:
        return Client().send("POST", path, body)
    except ApiError as error:
        fail(str(error))
