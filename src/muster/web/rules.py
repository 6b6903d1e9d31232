# SPDX-License-Identifier: Apache-2.0
"""Rules: written with errors as one types, tried on the whole fleet, and only then switched on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, Parameter
from litestar.response import Redirect

from muster.lifecycle import rules as verbs
from muster.lifecycle.rules import Trial
from muster.machine.rules import Actions
from muster.machine.tagging import NAME
from muster.store import counts, rules
from muster.store.engine import Store
from muster.store.rules import RuleRow
from muster.web.machines import fields
from muster.web.page import page
from muster.web.session import AnyRequest, Looking, check_form
from muster.wire.codec import BadMessage

Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
Name = Annotated[str, Parameter(max_length=64, pattern=NAME)]
NONE_SHOWN = 10
"""Of the machines of one part of a dry run for which the rule does not hold so many are named."""

EMPTY = {"name": "", "priority": "100", "condition": "", "comment": "", "tags": "", "pool": "",
         "pattern": "", "scripts": "", "tests": "commissioning", "hold": ""}  # fmt: skip


@get("/rules", sync_to_thread=True)
def every(request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """All of them in their order."""
    with store.read() as tx:
        found, numbers = rules.some(tx), rules.counts(tx)
    return page(request, "rules.html", looking, rules=found, counts=numbers, told=told)


@get("/rules/-/new", sync_to_thread=False)
def new(request: AnyRequest, looking: Looking) -> Response[Any]:
    """The form, empty."""
    looking.need("operator")
    return _form(request, looking, EMPTY, "")


@get("/rules/{rule:str}/edit", sync_to_thread=True)
def edit(rule: Name, request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """The form with the rule as it is."""
    looking.need("operator")
    with store.read() as tx:
        row = rules.find(tx, rule)
    acts = verbs.actions_of(row.actions)
    given = {"name": row.name, "priority": str(row.priority), "condition": row.condition,
             "comment": row.comment, "tags": " ".join(acts.tags), "pool": acts.pool,
             "pattern": acts.name, "scripts": " ".join(acts.scripts), "tests": " ".join(acts.tests),
             "hold": acts.hold}  # fmt: skip
    flags = {name: "yes" for name in ("accept", "commission", "notify") if getattr(acts, name)}
    return _form(request, looking, given | flags, "", old=row.name)


def _form(
    request: AnyRequest, looking: Looking, given: dict[str, str], wrong: str, *, old: str = "",
    status: int = 200,
) -> Response[Any]:  # fmt: skip
    return page(
        request, "rule_edit.html", looking, status=status, given=EMPTY | given, wrong=wrong,
        fields=fields(), old=old,
    )  # fmt: skip


@post("/rules/-/lint", status_code=200, sync_to_thread=False)
def lint(data: Form, request: AnyRequest, looking: Looking, now: datetime) -> Response[Any]:
    """What is wrong with it as it is now; nothing is kept."""
    check_form(request, looking, data)
    try:
        row, wrong = _read(data, looking, now), ""
    except BadMessage as error:
        row, wrong = None, str(error)
    return page(request, "rule_lint.html", looking, wrong=wrong, row=row, told=told)


@post("/rules", sync_to_thread=True)
def save(
    data: Form, request: AnyRequest, store: Store, looking: Looking, now: datetime
) -> Response[Any]:
    """Keep it, switched off; what is wrong comes back with the form."""
    check_form(request, looking, data)
    looking.need("operator")
    try:
        row = _read(data, looking, now)
        verbs.put(
            store, row.name, priority=row.priority, condition=row.condition,
            actions=verbs.actions_of(row.actions), comment=row.comment, actor=looking.user.name,
            now=now,
        )  # fmt: skip
    except BadMessage as error:
        return _form(request, looking, data, str(error), old=data.get("old", ""), status=400)
    return Redirect(f"/rules/{row.name}", status_code=303)


def _read(form: dict[str, str], looking: Looking, now: datetime) -> RuleRow:
    priority = form.get("priority", "100").strip()
    if not priority.isascii() or not priority.isdigit() or int(priority[:6]) > 10_000:
        raise BadMessage("priority", "a number from 0 to 10000; a lower one comes first")
    commission = form.get("commission") == "yes"
    actions = Actions(
        tags=_words(form, "tags"),
        pool=form.get("pool", "").strip()[:64],
        name=form.get("pattern", "").strip()[:128],
        accept=form.get("accept") == "yes",
        commission=commission,
        scripts=_words(form, "scripts"),
        tests=_words(form, "tests") if commission else Actions.tests,
        hold=form.get("hold", "").strip()[:500],
        notify=form.get("notify") == "yes",
    )
    return verbs.read(
        form.get("name", "").strip(), int(priority), form.get("condition", "").strip(), actions,
        form.get("comment", "")[:2000], actor=looking.user.name, now=now,
    )  # fmt: skip


def _words(form: dict[str, str], name: str) -> tuple[str, ...]:
    return tuple(word[:255] for word in form.get(name, "").replace(",", " ").split()[:100])


@get("/rules/{rule:str}", sync_to_thread=True)
def one(rule: Name, request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """One rule, and how far its dry run has come."""
    with store.read() as tx:
        row = rules.find(tx, rule)
        count = rules.counts(tx).get(rule, 0)
        total = sum(counts.by_state(tx).values())
    return page(
        request, "rule.html", looking, row=row, count=count, total=total, told=told(row)
    )  # fmt: skip


@dataclass(frozen=True)
class Tally:
    """How many machines of a dry run there were so far, by answer."""

    yes: int = 0
    no: int = 0
    unknown: int = 0

    @property
    def seen(self) -> int:
        """All of them."""
        return self.yes + self.no + self.unknown

    def plus(self, trial: Trial) -> "Tally":
        """With those of one more part."""
        answers = [one.holds for one in trial.items]
        return Tally(self.yes + answers.count(True), self.no + answers.count(False),
                     self.unknown + answers.count(None))  # fmt: skip


@post("/rules/{rule:str}/dry-run", status_code=200, sync_to_thread=True)
def dry_run(
    rule: Name, data: Form, request: AnyRequest, store: Store, looking: Looking, now: datetime
) -> Response[Any]:
    """The next machines with the answer for each; the part itself asks for the one behind it."""
    check_form(request, looking, data)
    looking.need("operator")
    trial = verbs.try_out(store, rule, after=data.get("after", "")[:32], now=now)
    before = Tally(*(_count(data.get(name, "")) for name in ("yes", "no", "unknown")))
    with store.read() as tx:
        row = rules.find(tx, rule)
        total = sum(counts.by_state(tx).values())
    no = [one for one in trial.items if one.holds is False]
    shown = [one for one in trial.items if one.holds is not False] + no[:NONE_SHOWN]
    part = "rule_trial.html" if request.headers.get("hx-request") else "rule_tried.html"
    return page(
        request, part, looking, row=row, trial=trial, tally=before.plus(trial), total=total,
        shown=shown, hidden=len(no) - len(no[:NONE_SHOWN]),
    )  # fmt: skip


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


@post("/rules/{rule:str}", sync_to_thread=True)
def act(
    rule: Name, data: Form, request: AnyRequest, store: Store, looking: Looking, now: datetime
) -> Response[Any]:
    """Switch it on or off, or delete it."""
    check_form(request, looking, data)
    looking.need("operator")
    acts = {"enable": verbs.enable, "disable": verbs.disable, "delete": verbs.delete}
    do = data.get("do", "")
    if do not in acts:
        raise BadMessage("do", f"one of {', '.join(acts)}")
    acts[do](store, rule, actor=looking.user.name, now=now)
    return Redirect("/rules" if do == "delete" else f"/rules/{rule}", status_code=303)


def told(row: RuleRow) -> list[str]:
    """What it does, in words."""
    acts = verbs.actions_of(row.actions)
    found = [f"get tag {tag}" for tag in acts.tags]
    found += [f"go into pool {acts.pool}"] if acts.pool else []
    found += [f"if New, be called {acts.name}"] if acts.name else []
    if acts.commission:
        chosen = " ".join((*acts.scripts, *acts.tests))
        found.append(f"if New, be commissioned ({chosen})" if chosen else "if New, be commissioned")
    elif acts.accept:
        found.append("if New, be accepted")
    found += [f"if New, wait for a person: {acts.hold}"] if acts.hold else []
    return found + (["be told of by an event"] if acts.notify else [])


ROUTES = [every, new, edit, lint, save, one, dry_run, act]
