# SPDX-License-Identifier: Apache-2.0
"""What happened and is happening: boots, runs, results, raw outputs, events."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from litestar import Response, get
from litestar.params import Parameter

from muster.api import shapes
from muster.api.shapes import BootShown, ResultShown, RunShown
from muster.store import boots, events, runs
from muster.store.engine import Store
from muster.store.events import Event
from muster.store.people import User
from muster.wire.codec import BadMessage

# Litestar would take any number for seconds since 1970.
Moment = Annotated[str, Parameter(schema_extra={"format": "date-time", "minLength": None})]
Number = Annotated[int, Parameter(ge=1, le=2**53)]


@get("/boots", sync_to_thread=True)
def list_boots(
    store: Store,
    user: User,
    limit: Annotated[int, Parameter(ge=1, le=500)] = 50,
    before: Moment | None = None,
) -> list[BootShown]:
    """Every attempt to start, also refused ones and those of unknown machines, newest first."""
    with store.read() as tx:
        found = boots.some(tx, limit=limit, before=_utc(before))
        lines = boots.timeline(tx, [boot.id for boot in found])
    return [shapes.boot(boot, lines[boot.id]) for boot in found]


def _utc(text: str | None) -> datetime | None:
    """A time without a zone is UTC; the first and last day of the calendar fit in no other."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError as error:
        raise BadMessage("before", f"{error}: write 2026-03-01T12:00:00Z") from error
    except OverflowError as error:
        raise BadMessage("before", "is outside the years 1 to 9999 in UTC") from error


@get("/boots/{boot:str}", sync_to_thread=True)
def show_boot(
    boot: Annotated[str, Parameter(max_length=32)], store: Store, user: User
) -> BootShown:
    """One boot with its timeline."""
    with store.read() as tx:
        found = boots.find(tx, boot)
        return shapes.boot(found, boots.timeline(tx, [boot])[boot])


@get("/runs/{run:int}", sync_to_thread=True)
def show_run(run: Number, store: Store, user: User) -> RunShown:
    """One run with its results."""
    with store.read() as tx:
        return shapes.run(runs.find(tx, run), runs.results_of(tx, run))


@get("/results/{result:int}", sync_to_thread=True)
def show_result(result: Number, store: Store, user: User) -> ResultShown:
    """One script's result."""
    with store.read() as tx:
        return shapes.shown(ResultShown, runs.find_result(tx, result))


@get(
    "/results/{result:int}/output",
    sync_to_thread=True,
    media_type="application/octet-stream",
)
def result_output(
    result: Number,
    store: Store,
    user: User,
    stream: Literal["combined", "stdout", "stderr", "result"] = "combined",
    offset: Annotated[int, Parameter(ge=0, le=2**53)] = 0,
) -> Response[bytes]:
    """The raw bytes of a stream from `offset` on; the header Muster-State says if more may come."""
    with store.read() as tx:
        found = runs.find_result(tx, result)
        body = runs.output(tx, result, stream=stream, offset=offset)
    return Response(
        body, media_type="application/octet-stream", headers={"Muster-State": found.state}
    )


@get("/events", sync_to_thread=True)
def list_events(
    store: Store,
    user: User,
    machine: Annotated[str, Parameter(max_length=32)] = "",
    kind: Annotated[str, Parameter(max_length=48)] = "",
    after: Annotated[int, Parameter(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Parameter(ge=1, le=1000)] = 200,
) -> list[Event]:
    """Events in order; `after` an id, or the newest `limit`."""
    with store.read() as tx:
        return events.some(tx, machine=machine, kind=kind, after=after, limit=limit)


ROUTES = [
    list_boots,
    show_boot,
    show_run,
    show_result,
    result_output,
    list_events,
]
