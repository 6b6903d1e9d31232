# SPDX-License-Identifier: Apache-2.0
"""Expected hardware: profiles, and what deviates."""

import json
import sys
import urllib.parse
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
import yaml
from cyclopts import Parameter

from muster.cli.client import ApiError, Client, fail
from muster.cli.forms import json_text, yaml_text
from muster.cli.words import plain

profile = cyclopts.App(name="profile", help="What hardware is expected.")
Output = Annotated[Literal["text", "json"], Parameter(alias="-o")]


@profile.command(name="list")
def list_profiles() -> None:
    """All profiles."""
    for one in _ask("GET", "/profiles"):
        told = f"for {one['condition']}" if one["condition"] else "for all machines"
        print(plain(f"{one['name']}: {told}: {', '.join(one['expected'])}"))


@profile.command(name="learn")
def learn(name: str, machine: str, /, *more: str, condition: str = "", comment: str = "") -> None:
    """Make a profile from golden machines: muster profile learn r750 web-1 web-2.

    Parameters
    ----------
    name
        The profile's name
    machine
        A machine that is as all should be
    more
        More of them: where they differ, the range between them is right
    condition
        For which machines the profile is (docs/filter.md)
    comment
        What it is for
    """
    body = {"machines": [machine, *more], "condition": condition, "comment": comment}
    found = _ask("POST", _path(name, "/learn"), body)
    print(plain(f"{found['name']}: {', '.join(found['expected'])}"))


@profile.command(name="show")
def show(name: str, /) -> None:
    """A profile as YAML, to be edited and given to muster profile set."""
    found = _ask("GET", _path(name))
    print(yaml_text({key: found[key] for key in ("condition", "comment", "expected")}))


@profile.command(name="set")
def set_profile(name: str, file: Path, /) -> None:
    """Make or change a profile.

    Parameters
    ----------
    name
        The profile's name
    file
        YAML or JSON as muster profile show prints it; - reads standard input
    """
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
        body = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        fail(f"{file}: {error}")
    _ask("PUT", _path(name), body)
    print(plain(f"{name} was changed"))


@profile.command(name="delete")
def delete(name: str, /) -> None:
    """Take a profile away."""
    _ask("DELETE", _path(name))
    print(plain(f"{name} was deleted"))


def deviations(profile: str, /, *, output: Output = "text") -> int:
    """Machines that are not as a profile says; exit status 1 when there are any.

    Parameters
    ----------
    profile
        Its name
    output
        text, or json for programs
    """
    items: list[dict[str, Any]] = []
    after = ""
    while True:
        page = _ask("GET", _path(profile, f"/deviations?after={after}"))
        items += page["items"]
        if not (after := page["next"]):
            break
    wrong = [one for one in items if one["deviations"]]
    if output == "json":
        print(json.dumps(items, indent=2))
        return int(bool(wrong))
    _print(wrong)
    print(f"of {len(items)} machines {len(items) - len(wrong)} are as expected")
    return int(bool(wrong))


def odd_ones(product: str, /, *, vendor: str = "", output: Output = "text") -> int:
    """Machines of one model that are not as most others of it; exit status 1 when there are any.

    Parameters
    ----------
    product
        The model, as muster machines shows it
    vendor
        Who made it
    output
        text, or json for programs
    """
    query = urllib.parse.urlencode({"product": product, "vendor": vendor})
    found = _ask("GET", f"/odd-ones?{query}")
    if output == "json":
        print(json_text(found))
    else:
        _print(found)
        print(f"{len(found)} of this model are not as most others" if found else "none is odd")
    return int(bool(found))


def _print(found: list[dict[str, Any]]) -> None:
    for one in found:
        for sentence in one["deviations"]:
            print(plain(f"{one['name']}: {sentence}"))


def _path(name: str, rest: str = "") -> str:
    return f"/profiles/{urllib.parse.quote(name, safe='')}{rest}"


def _ask(method: str, path: str, body: object = None) -> Any:
    try:
        return Client().send(method, path, body)
    except ApiError as error:
        fail(str(error))
