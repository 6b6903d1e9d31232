# SPDX-License-Identifier: Apache-2.0
"""Scripts: list, show, add, lint, change, remove."""

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from litestar import Response, delete, get, patch, post
from litestar.params import Parameter

from muster.api.access import role
from muster.lifecycle import scripts as verbs
from muster.lifecycle import shelf
from muster.lifecycle.comparison import Group, compare
from muster.lifecycle.shelf import Offer
from muster.scripts import format as script_format
from muster.scripts.outcome import unit
from muster.store import runs, scripts
from muster.store.engine import Missing, Store
from muster.store.people import User
from muster.store.scripts import Version
from muster.wire.codec import BadMessage, Limited, limited

Name = Annotated[str, Parameter(max_length=255, description="A script's name.")]
PATH = "/scripts/{name:str}"
COMPARED = 20_000
BODY_LIMIT = script_format.SOURCE_LIMIT * 4 // 3 + 65536


@dataclass(frozen=True)
class ScriptShown:
    """A script as it runs from now on; `version` is 0 for a built-in one."""

    name: str
    title: str
    description: str
    script_type: str
    hardware_type: str
    parallel: str
    timeout_s: int
    tags: list[str]
    enabled: bool
    destructive: bool
    may_reboot: bool
    recommission: bool
    for_hardware: list[str]
    packages: dict[str, Any]
    parameters: dict[str, Any]
    results: dict[str, dict[str, str]]
    thresholds: dict[str, dict[str, float]]
    sha256: str
    version: int


@dataclass(frozen=True)
class ScriptWithVersions:
    """A script and its history, oldest first; a built-in one has none."""

    script: ScriptShown
    versions: list[Version]


def shown(offer: Offer) -> ScriptShown:
    """The script as people and programs see it; a result's unit is taken from its title."""
    script = offer.script
    return ScriptShown(
        name=script.name,
        title=script.title,
        description=script.description,
        script_type=script.script_type,
        hardware_type=script.hardware_type,
        parallel=script.parallel,
        timeout_s=script.timeout,
        tags=list(script.tags),
        enabled=offer.enabled,
        destructive=script.destructive,
        may_reboot=script.may_reboot,
        recommission=script.recommission,
        for_hardware=list(script.for_hardware),
        packages=dict(script.packages),
        parameters=dict(script.parameters),
        results={n: about | {"unit": unit(about["title"])} for n, about in script.results.items()},
        thresholds=offer.thresholds,
        sha256=script.sha256,
        version=offer.version,
    )


@get("/scripts", sync_to_thread=True)
def list_scripts(
    store: Store,
    user: User,
    tag: Annotated[str, Parameter(max_length=255)] = "",
) -> list[ScriptShown]:
    """Every script by name, built-in ones among them."""
    with store.read() as tx:
        offers = shelf.every(tx)
    return [shown(offer) for offer in offers if tag in ("", *offer.script.tags)]


@get(PATH, sync_to_thread=True)
def show_script(name: Name, store: Store, user: User) -> ScriptWithVersions:
    """One script."""
    return _whole(store, name)


@get(PATH + "/comparison", sync_to_thread=True)
def compare_results(name: Name, store: Store, user: User) -> list[Group]:
    """The newest numbers of a test on every machine and device, beside others of its model."""
    with store.read() as tx:
        found = runs.measured(tx, name, limit=COMPARED)
        # One that was removed still has its results.
        if not found and all(offer.script.name != name for offer in shelf.every(tx)):
            raise Missing(f"no script has the name {name!r}")
    return compare(found)


@get(PATH + "/source", sync_to_thread=True, media_type="application/octet-stream")
def script_source(
    name: Name,
    store: Store,
    user: User,
    version: Annotated[int, Parameter(ge=0, le=2**31 - 1)] = 0,
) -> Response[bytes]:
    """The bytes of a version; 0 is the newest."""
    body = verbs.source(store, name, version)
    return Response(body, media_type="application/octet-stream")


@dataclass(frozen=True)
class Upload(Limited):
    """`source` in base64; `name` serves where its metadata has none."""

    source: str = limited(most=script_format.SOURCE_LIMIT * 4 // 3 + 8)
    name: str = limited(most=255, default="")
    comment: str = limited(most=1000, default="")


@post(
    "/scripts",
    status_code=200,
    sync_to_thread=True,
    dependencies=role("admin"),
    request_max_body_size=BODY_LIMIT,
)
def add_script(data: Upload, store: Store, user: User, now: datetime) -> ScriptWithVersions:
    """Add a script, or its next version; it runs as root on machines, so admins only."""
    script, _ = verbs.add(
        store, _bytes(data), name=data.name, comment=data.comment, actor=user.name, now=now
    )
    return _whole(store, script.name)


@dataclass(frozen=True)
class ScriptProblem:
    """What is wrong with a script, and where."""

    line: int
    field: str
    reason: str


@post(
    "/scripts/lint",
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=BODY_LIMIT,
)
def lint_script(data: Upload, user: User) -> list[ScriptProblem]:
    """Everything that is wrong with a script; nothing is kept."""
    found = script_format.problems(_bytes(data), name=data.name)
    return [ScriptProblem(problem.line, problem.field, problem.reason) for problem in found]


@dataclass(frozen=True)
class ScriptChanges(Limited):
    """What is given is changed. Thresholds by result: {"iops": {"min": 1000}}."""

    enabled: bool | None = None
    tags: list[str] | None = None
    timeout_s: int | None = None
    thresholds: dict[str, dict[str, float]] | None = field(default=None)

    def __post_init__(self) -> None:
        """Texts that every database keeps."""
        super().__post_init__()
        for name, texts in (("tags", self.tags), ("thresholds", self.thresholds)):
            for text in texts or ():
                if not text.isprintable() or len(text) > 255:
                    raise ValueError(f"{name}: {text[:40]!r} must be a line of 255 characters")


@patch(PATH, sync_to_thread=True, dependencies=role("admin"))
def change_script(
    name: Name, data: ScriptChanges, store: Store, user: User, now: datetime
) -> ScriptWithVersions:
    """Change how a script is used: enabled, tags, time limit, thresholds."""
    use = verbs.Use(data.enabled, data.tags, data.timeout_s, data.thresholds)
    verbs.change(store, name, use, actor=user.name, now=now)
    return _whole(store, name)


@delete(PATH, sync_to_thread=True, dependencies=role("admin"))
def remove_script(name: Name, store: Store, user: User, now: datetime) -> None:
    """Forget a user's script, or what was changed about a built-in one."""
    verbs.remove(store, name, actor=user.name, now=now)


def _bytes(data: Upload) -> bytes:
    try:
        return base64.b64decode(data.source, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadMessage("source", f"not base64: {error}") from error


def _whole(store: Store, name: str) -> ScriptWithVersions:
    with store.read() as tx:
        offer = next((o for o in shelf.every(tx) if o.script.name == name), None)
        if offer is None:
            raise Missing(f"no script has the name {name!r}")
        row = next((row for row in scripts.some(tx) if row.name == name), None)
        return ScriptWithVersions(shown(offer), scripts.versions(tx, row.id) if row else [])


ROUTES = [
    list_scripts,
    show_script,
    compare_results,
    script_source,
    add_script,
    lint_script,
    change_script,
    remove_script,
]
