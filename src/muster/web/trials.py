# SPDX-License-Identifier: Apache-2.0
"""Scripts tried in the lab: `muster script try` as a process of its own, its words on a page.

Rooms look only downward, and a virtual machine must not hang on a page: the command is what a
person would type, and its exit status says what came of it.
"""

import asyncio
import contextlib
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, Parameter
from litestar.response import Redirect

from muster.images.library import Library
from muster.lifecycle import scripts as verbs
from muster.lifecycle import secrets
from muster.store.engine import Conflict, Missing, Store
from muster.web import ansi
from muster.web.page import page
from muster.web.scripts import BODY_LIMIT, source_of
from muster.web.session import AnyRequest, Looking, check_form

Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
LIMIT_S = 1800.0
KEPT = 20
TAIL = 256 * 1024
"""Bytes of output on the page, the last ones."""

_FILE = re.compile("[A-Za-z0-9][A-Za-z0-9_.-]{0,100}")

SAID = {0: "passed", 1: "failed", 2: "could not be tried"}


@dataclass
class Trial:
    """One try. `status` is None while it runs; `folder` holds the script and what it printed."""

    id: str
    name: str
    actor: str
    folder: tempfile.TemporaryDirectory[str] = field(repr=False)
    begun: float = field(default_factory=time.monotonic)
    took: float | None = None
    status: int | None = None
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)
    waiting: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def seconds(self) -> float:
        """How long it has taken, or took."""
        return self.took if self.took is not None else time.monotonic() - self.begun

    @property
    def state(self) -> str:
        """running, passed, failed, could not be tried or ended."""
        return "running" if self.status is None else SAID.get(self.status, "ended")

    def printed(self) -> bytes:
        """The end of what it printed."""
        path = Path(self.folder.name) / "log"
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            return file.read()


class Trials:
    """Those of this process; one at a time, as a virtual machine takes a host's memory."""

    def __init__(self, command: tuple[str, ...] = (sys.executable, "-m", "muster")) -> None:
        self.command = command
        self._all: dict[str, Trial] = {}

    def find(self, key: str) -> Trial:
        """Raises Missing."""
        if key not in self._all:
            raise Missing("no such try; they are forgotten when the server restarts")
        return self._all[key]

    async def begin(self, name: str, source: bytes, images: Path, actor: str) -> Trial:
        """Raises Conflict while another one runs."""
        busy = next((one for one in self._all.values() if one.status is None), None)
        if busy:
            raise Conflict(f"{busy.name} is being tried by {busy.actor}; one at a time")
        while len(self._all) >= KEPT:
            self._all.pop(next(iter(self._all))).folder.cleanup()
        folder = tempfile.TemporaryDirectory(prefix="muster-try-")
        trial = Trial(secrets.new_id(8), name, actor, folder)
        self._all[trial.id] = trial
        file = Path(folder.name) / (name if _FILE.fullmatch(name) else "script")
        file.write_bytes(source)
        words = ("script", "try", str(file), "--images", str(images))
        with (Path(folder.name) / "log").open("wb") as log:
            trial.process = await asyncio.create_subprocess_exec(
                *self.command, *words, stdin=asyncio.subprocess.DEVNULL, stdout=log,
                stderr=asyncio.subprocess.STDOUT, cwd=folder.name,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        trial.waiting = asyncio.create_task(self._wait(trial, trial.process))
        return trial

    async def _wait(self, trial: Trial, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(LIMIT_S):
                await process.wait()
        except TimeoutError:
            stop(trial)
            await process.wait()
        trial.took = trial.seconds
        trial.status = process.returncode


def stop(trial: Trial) -> None:
    """SIGTERM, on which the command takes its lab down."""
    with contextlib.suppress(ProcessLookupError):
        if trial.process and trial.process.returncode is None:
            trial.process.terminate()


def _trials(request: AnyRequest) -> Trials:
    if "trials" not in request.app.state:
        request.app.state.trials = Trials()
    found: Trials = request.app.state.trials
    return found


@post("/scripts/-/try", request_max_body_size=BODY_LIMIT)
async def begin(
    data: Form, request: AnyRequest, store: Store, library: Library, looking: Looking
) -> Response[Any]:
    """Try the text of the editor, or the newest version of a script."""
    check_form(request, looking, data)
    looking.need("admin")
    name = data.get("name", "")[:255] or "script"
    if "source" in data:
        source = source_of(data)
    else:
        source = await asyncio.to_thread(verbs.source, store, name)
    trial = await _trials(request).begin(name, source, library.root, looking.user.name)
    return Redirect(f"/scripts/-/try/{trial.id}", status_code=303)


@get("/scripts/-/try/{key:str}", sync_to_thread=False)
def show(
    key: Annotated[str, Parameter(max_length=32)], request: AnyRequest, looking: Looking
) -> Response[Any]:
    """What it has printed so far, and what came of it."""
    looking.need("admin")
    trial = _trials(request).find(key)
    text = ansi.html(trial.printed().decode("utf-8", "replace"))
    part = "trial_live.html" if request.headers.get("hx-request") else "trial.html"
    return page(request, part, looking, trial=trial, text=text)


@post("/scripts/-/try/{key:str}", sync_to_thread=False)
def end(
    key: Annotated[str, Parameter(max_length=32)], data: Form, request: AnyRequest, looking: Looking
) -> Response[Any]:
    """End it; the virtual machine goes with it."""
    check_form(request, looking, data)
    looking.need("admin")
    stop(_trials(request).find(key))
    return Redirect(f"/scripts/-/try/{key}", status_code=303)


ROUTES = [begin, show, end]
