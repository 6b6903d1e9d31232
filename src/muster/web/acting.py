# SPDX-License-Identifier: Apache-2.0
"""What people do to machines: on one or on many, asked again with the machines' names."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from litestar import Response, post
from litestar.enums import RequestEncodingType
from litestar.exceptions import ClientException
from litestar.params import Body
from litestar.response import Redirect

from muster.lifecycle import commission, pools, power, switches, tags, test
from muster.lifecycle.commission import Options
from muster.lifecycle.keyring import Keyring
from muster.lifecycle.policy import Policy
from muster.lifecycle.secrets import Forbidden
from muster.machine.states import Refused
from muster.power.drivers import PowerError
from muster.store import machines
from muster.store.engine import Conflict, Missing, Store
from muster.web.page import page
from muster.web.session import AnyRequest, Looking, check_form
from muster.wire.codec import BadMessage

Form = Annotated[dict[str, Any], Body(media_type=RequestEncodingType.URL_ENCODED)]
MOST = 500
"""Machines of one action."""


@dataclass(frozen=True)
class Act:
    """One verb as it is done to one machine."""

    store: Store
    policy: Policy
    machine: str
    actor: str
    now: datetime
    text: str

    def commission(self) -> None:
        """All commissioning scripts, then the tests."""
        commission.start(self.store, self.policy, self.machine, Options(), **self._who())

    def test(self) -> None:
        """The tests tagged `commissioning`."""
        test.start(self.store, self.policy, self.machine, Options(), **self._who())

    def abort(self) -> None:
        """End the open run."""
        commission.abort(self.store, self.policy, self.machine, **self._who())

    def accept(self) -> None:
        """It may send its data."""
        commission.accept(self.store, self.machine, **self._who())

    def deny(self) -> None:
        """It is refused; the text is the reason."""
        commission.deny(self.store, self.machine, reason=self.text, **self._who())

    def delete(self) -> None:
        """Forget the record."""
        commission.delete(self.store, self.machine, **self._who())

    def on(self) -> None:
        """Power on."""
        power.ask(self.store, self.policy, self.machine, "on", **self._who())

    def off(self) -> None:
        """Power off."""
        power.ask(self.store, self.policy, self.machine, "off", **self._who())

    def cycle(self) -> None:
        """Power off and on."""
        power.ask(self.store, self.policy, self.machine, "cycle", **self._who())

    def rename(self) -> None:
        """The text is the new name."""
        commission.rename(self.store, self.machine, self.text, **self._who())

    def override(self) -> None:
        """Ready in spite of failed tests; the text is the reason."""
        test.override(self.store, self.machine, reason=self.text, **self._who())

    def tag(self) -> None:
        """The text is a tag; raises Conflict with what became of it otherwise."""
        self._tagged(add=[self.machine], remove=[])

    def untag(self) -> None:
        """Take it away again."""
        self._tagged(add=[], remove=[self.machine])

    def pool(self) -> None:
        """The text is a pool; empty for none."""
        pools.put(self.store, self.machine, self.text, actor=self.actor, now=self.now)

    def _tagged(self, *, add: list[str], remove: list[str]) -> None:
        done = tags.by_hand(self.store, self.text, add=add, remove=remove, **self._who())
        for one in done:
            if not one.done:
                raise Conflict(one.why)

    def _who(self) -> dict[str, Any]:
        return {"actor": self.actor, "now": self.now}


@dataclass(frozen=True)
class Verb:
    """How a verb is asked for. `text` names what must be written, or with `may` can be; `danger`

    marks what is lost.
    """

    name: str
    question: str
    do: Callable[[Act], None]
    text: str = ""
    danger: bool = False
    may: bool = False


VERBS = {
    verb.name: verb
    for verb in (
        Verb("commission", "Switch on, run every script, then the tests", Act.commission),
        Verb("test", "Switch on and run the tests", Act.test),
        Verb("abort", "End what runs; the former state comes back", Act.abort),
        Verb("accept", "Let them send their data", Act.accept),
        Verb("deny", "Refuse them; they power off and are not booted again", Act.deny, "reason"),
        Verb("tag", "Give a tag", Act.tag, "tag"),
        Verb("untag", "Take a tag away", Act.untag, "tag"),
        Verb("pool", "Put them into a pool; without a name into none", Act.pool, "pool", may=True),
        Verb("on", "Switch on", Act.on),
        Verb("off", "Cut the power", Act.off, danger=True),
        Verb("cycle", "Cut the power and give it back", Act.cycle, danger=True),
        Verb("rename", "Give another name", Act.rename, "name"),
        Verb("override", "Call it Ready in spite of failed tests", Act.override, "reason"),
        Verb("delete", "Forget the records; the events stay", Act.delete, danger=True),
    )
}  # fmt: skip


def _asked(form: dict[str, Any]) -> tuple[Verb, list[str]]:
    verb = VERBS.get(str(form.get("verb", "")))
    if verb is None:
        raise ClientException(f"verb: one of {', '.join(VERBS)}")
    given = form.get("machine", [])
    ids = [str(one)[:63] for one in (given if isinstance(given, list) else [given])]
    if not ids:
        raise ClientException("no machine was chosen: mark some in the list first")
    if len(ids) > MOST:
        raise ClientException(f"{len(ids)} machines were chosen; at most {MOST} at once")
    return verb, ids


@post("/machines/confirm", status_code=200, sync_to_thread=True)
def confirm(data: Form, request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """Ask again, naming every machine."""
    check_form(request, looking, data)
    looking.need("operator")
    verb, ids = _asked(data)
    with store.read() as tx:
        chosen = [machines.find(tx, one) for one in ids]
    return page(request, "confirm.html", looking, verb=verb, chosen=chosen)


@dataclass(frozen=True)
class Outcome:
    """What became of one machine; `wrong` is empty when it was done."""

    id: str
    name: str
    wrong: str


@post("/machines/act", status_code=200, sync_to_thread=True)
def act(
    data: Form, request: AnyRequest, store: Store, policy: Policy, looking: Looking, now: datetime
) -> Response[Any]:
    """Do it to each; one that refuses does not keep the others."""
    check_form(request, looking, data)
    looking.need("operator")
    verb, ids = _asked(data)
    text = str(data.get("text", "")).strip()[:500]
    with store.read() as tx:
        names = machines.names(tx, ids)
    outcomes = []
    for one in ids:
        act = Act(store, policy, one, looking.user.name, now, text)
        outcomes.append(Outcome(one, names.get(one, one), _tried(verb, act)))
    if len(outcomes) == 1 and not outcomes[0].wrong:
        there = "/machines" if verb.name == "delete" else f"/machines/{ids[0]}"
        return Redirect(there, status_code=303)
    return page(request, "outcome.html", looking, verb=verb, outcomes=outcomes)


def _tried(verb: Verb, act: Act) -> str:
    try:
        verb.do(act)
    except (Missing, Conflict, Refused, PowerError, BadMessage) as error:
        return str(error)
    return ""


@post("/machines/{reference:str}/power", sync_to_thread=True)
def set_power(
    reference: str, data: Form, request: AnyRequest, store: Store, keyring: Keyring,
    looking: Looking, now: datetime,
) -> Response[Any]:  # fmt: skip
    """How it is switched: driver and NAME=VALUE a line."""
    check_form(request, looking, data)
    looking.need("operator")
    given = _parameters(str(data.get("parameters", "")).splitlines())
    driver = str(data.get("driver", ""))
    switches.set_switch(store, keyring, reference, driver, given, actor=looking.user.name, now=now)
    return Redirect(f"/machines/{reference}", status_code=303)


def _parameters(lines: Sequence[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        if line.strip():
            name, sign, value = line.partition("=")
            if not sign:
                raise ClientException(f"parameters: {line[:40]!r}: write NAME=VALUE, one a line")
            found[name.strip()] = value.strip()
    return found


@post("/results/{number:int}/suppress", sync_to_thread=True)
def suppress(
    number: int, data: Form, request: AnyRequest, store: Store, looking: Looking, now: datetime
) -> Response[Any]:
    """Do not count a result, for a reason."""
    check_form(request, looking, data)
    if not looking.may("operator"):
        raise Forbidden(f"{looking.user.name} is {looking.user.role}", status=403)
    reason = str(data.get("reason", ""))[:2000]
    test.suppress(store, number, reason=reason, actor=looking.user.name, now=now)
    return Redirect(f"/results/{number}", status_code=303)


ROUTES = [confirm, act, set_power, suppress]
