import base64
import hashlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rack import MAC, Rack, event

from muster.lifecycle import commission, deadlines, results, survey
from muster.lifecycle.secrets import Forbidden
from muster.machine.states import State
from muster.store import runs, versions
from muster.wire.codec import BadMessage
from muster.wire.events import Ack, Batch, Event
from muster.wire.hello import Welcome


@pytest.fixture
def welcome(rack: Rack) -> Welcome:
    """A machine that has just got its enlist run."""
    return rack.arrive()[1]


def output(rack: Rack, result: int, stream: str = "combined") -> bytes:
    with rack.store.read() as tx:
        return runs.output(tx, result, stream=stream)


def state(rack: Rack, result: int) -> tuple[str, str]:
    with rack.store.read() as tx:
        found = runs.find_result(tx, result)
        return found.state, found.reason


def test_a_run_that_passes_ends_the_boot_and_leaves_the_machine_new(
    rack: Rack, welcome: Welcome
) -> None:
    rack.now.advance(30)
    ack = rack.finish(welcome)
    machine = rack.machine(welcome.machine)
    (run,) = rack.runs(machine.name)
    assert ack == Ack(2 * len(welcome.scripts) + len(["output", "end"]), "go", "")
    assert (run.state, run.reason, run.ended_at) == ("passed", "every script passed", rack.now())
    assert (machine.state, machine.surveyed_at) == (State.NEW, rack.now())
    assert rack.results(welcome) == [("passed", "")] * len(welcome.scripts)
    assert rack.told("run.enlist") == [f"{machine.name} was surveyed"]


def test_the_survey_reads_the_document_of_a_real_machine(rack: Rack, welcome: Welcome) -> None:
    rack.finish(welcome)
    machine = rack.machine(welcome.machine)
    assert machine.summary["cpu_count"] == json.loads(rack.document)["resources"]["cpu"]["total"]
    assert (machine.summary["vendor"], machine.summary["product"]) == ("Acme", "Rack9000")
    assert machine.summary["nics"][0]["mac"] == MAC
    with rack.store.read() as tx:
        assert versions.body(tx, versions.some(tx, machine.id, limit=1)[0]) == rack.document


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "resources document: $: is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"[]", "resources document: $: must be an object, not list"),
        (b'{"api_version": "1.0"}', "resources document: $.resources: is missing"),
    ],
)
def test_a_document_that_cannot_be_read_fails_its_result_and_is_kept(
    rack: Rack, welcome: Welcome, raw: bytes, reason: str
) -> None:
    rack.document = raw
    rack.finish(welcome)
    (item,) = [item for item in welcome.scripts if item.name == survey.RESOURCES]
    machine = rack.machine(welcome.machine)
    assert state(rack, item.result) == ("failed", reason)
    assert output(rack, item.result) == raw
    assert (machine.summary, machine.surveyed_at) == ({}, None)
    (run,) = rack.runs(machine.name)
    assert (run.state, run.reason) == ("failed", f"{survey.RESOURCES} failed: {reason}")
    assert rack.told("run.enlist") == [f"survey failed: {run.reason}"]


def test_a_script_that_fails_is_named_with_its_exit_status(rack: Rack, welcome: Welcome) -> None:
    first = welcome.scripts[0]
    rack.send(
        welcome.token,
        event(1, "started", first.result),
        event(2, "finished", first.result, exit_status=3, runtime_s=1.25),
        event(3, "end"),
    )
    (run,) = rack.runs(welcome.machine)
    more = len(welcome.scripts) - 1
    assert (run.state, run.reason) == (
        "failed",
        f"{first.name} failed: exit status 3 (and {more} more)",
    )
    assert rack.results(welcome)[1:] == [("lost", run.reason)] * more


@pytest.mark.parametrize("outcome", ["timed_out", "aborted", "lost"])
def test_a_script_that_did_not_exit_is_named_by_what_happened(
    rack: Rack, welcome: Welcome, outcome: str
) -> None:
    first = welcome.scripts[0].result
    words = {"outcome": outcome, "reason": "because", "exit_status": 0}
    rack.send(welcome.token, event(1, "started", first), event(2, "finished", first, **words))
    assert state(rack, first) == (outcome, "because")


def test_a_batch_that_is_repeated_is_stored_once(rack: Rack, welcome: Welcome) -> None:
    first = welcome.scripts[0].result
    batch = [event(1, "started", first), event(2, "output", first, data=b"once")]
    assert rack.send(welcome.token, *batch).seq == 2
    assert rack.send(welcome.token, *batch).seq == 2
    assert rack.send(welcome.token, *batch, event(3, "output", first, data=b"!")).seq == 3
    assert output(rack, first) == b"once!"


def test_what_comes_after_a_gap_is_not_taken(rack: Rack, welcome: Welcome) -> None:
    first = welcome.scripts[0].result
    assert rack.send(welcome.token, event(2, "output", first, data=b"two")).seq == 0
    one, three = event(1, "started", first), event(3, "output", first, data=b"three")
    assert rack.send(welcome.token, one, three).seq == 1
    assert output(rack, first) == b""
    assert rack.send(welcome.token, event(2, "output", first, data=b"two"), three).seq == 3
    assert output(rack, first) == b"twothree"


def test_a_batch_out_of_order_is_put_in_order(rack: Rack, welcome: Welcome) -> None:
    first = welcome.scripts[0].result
    pieces = [event(seq, "output", first, data=b"%d" % seq) for seq in (3, 1, 2)]
    assert rack.send(welcome.token, *pieces).seq == 3
    assert output(rack, first) == b"123"


def test_two_threads_that_send_the_same_batch_store_it_once(
    rack: Rack, welcome: Welcome, together
) -> None:
    first = welcome.scripts[0].result
    batch = [event(seq, "output", first, data=b"%d," % seq) for seq in range(1, 20)]
    acks = together(*[lambda: rack.send(welcome.token, *batch)] * 3)
    assert [ack.seq for ack in acks] == [19, 19, 19]
    assert output(rack, first) == b"".join(b"%d," % seq for seq in range(1, 20))


def test_an_empty_batch_is_a_sign_of_life(rack: Rack, welcome: Welcome) -> None:
    rack.now.advance(80)
    assert rack.send(welcome.token) == Ack(0, "go", "")
    rack.now.advance(80)
    assert deadlines.sweep(rack.store, rack.policy, rack.now()) == 0


def test_a_result_of_another_machine_is_refused_and_nothing_of_the_batch_stays(
    rack: Rack, welcome: Welcome
) -> None:
    _, other = rack.arrive(uuid="", macs=["52:54:00:99:99:99"])
    plan = rack.find_boot_of(welcome)
    mine, foreign = welcome.scripts[0].result, other.scripts[0].result
    with pytest.raises(Forbidden) as refusal:
        rack.send(
            welcome.token,
            event(1, "output", mine, data=b"mine"),
            event(2, "output", foreign, data=b"theirs"),
        )
    assert str(refusal.value) == f"result {foreign} is not of boot {plan.id}'s run"
    assert refusal.value.status == 403
    assert (output(rack, mine), output(rack, foreign)) == (b"", b"")
    assert rack.find_boot_of(welcome).acked_seq == 0


@pytest.mark.parametrize("token", ["", "guessed"])
def test_an_unknown_token_is_refused(rack: Rack, welcome: Welcome, token: str) -> None:
    with pytest.raises(Forbidden) as refusal:
        rack.send(token, event(1, "end"))
    assert (str(refusal.value), refusal.value.status) == ("unknown session token", 401)


def test_events_after_the_end_are_refused_and_repeats_are_not(rack: Rack, welcome: Welcome) -> None:
    last = rack.finish(welcome).seq
    assert rack.send(welcome.token, event(last, "end")).seq == last
    with pytest.raises(Forbidden) as refusal:
        rack.send(welcome.token, event(last + 1, "heartbeat"))
    boot = rack.find_boot_of(welcome).id
    assert str(refusal.value) == f"events for boot {boot}, which has ended"


def test_output_that_is_not_base64_is_refused_by_its_number(rack: Rack, welcome: Welcome) -> None:
    bad = Event(1, "output", result=welcome.scripts[0].result, data="no base64!")
    with pytest.raises(BadMessage) as refusal:
        rack.send(welcome.token, bad)
    assert refusal.value.path == "$.events[].data"
    assert refusal.value.why.startswith("event 1: not base64: ")


def test_a_result_that_has_ended_stays_as_it_ended(rack: Rack, welcome: Welcome) -> None:
    first = welcome.scripts[0].result
    rack.send(welcome.token, event(1, "started", first), event(2, "finished", first))
    rack.send(
        welcome.token,
        event(3, "started", first),
        event(4, "finished", first, exit_status=1, reason="again"),
    )
    assert state(rack, first) == ("passed", "")


def test_a_run_is_finished_once(rack: Rack, welcome: Welcome) -> None:
    last = rack.finish(welcome).seq
    assert rack.send(welcome.token, event(last, "end"), event(last, "end")).seq == last
    assert len(rack.told("run.enlist")) == 1


def test_what_an_agent_tells_after_silence_is_kept_and_the_run_stays_failed(
    rack: Rack, welcome: Welcome
) -> None:
    first, second = (item.result for item in welcome.scripts[:2])
    rack.send(welcome.token, event(1, "started", first), event(2, "output", first, data=b"be"))
    rack.now.advance(rack.policy.silence_s)
    assert deadlines.sweep(rack.store, rack.policy, rack.now()) == 1
    assert state(rack, first)[0] == "lost"
    rack.now.advance(600)
    ack = rack.send(
        welcome.token,
        event(3, "output", first, data=b"fore"),
        event(4, "finished", first, runtime_s=700.0),
        event(5, "started", second),
    )
    assert ack.seq == 5
    assert output(rack, first) == b"before"
    assert state(rack, first) == ("passed", "")
    (run,) = rack.runs(welcome.machine)
    assert run.state == "failed"


def test_a_script_told_of_after_its_run_failed_does_not_run_for_ever(
    rack: Rack, welcome: Welcome
) -> None:
    first = welcome.scripts[0].result
    rack.send(welcome.token, event(1, "heartbeat"))
    rack.now.advance(rack.policy.silence_s)
    deadlines.sweep(rack.store, rack.policy, rack.now())
    rack.send(welcome.token, event(2, "started", first))
    assert state(rack, first)[0] == "running"
    rack.now.advance(rack.policy.silence_s + 1)
    assert deadlines.sweep(rack.store, rack.policy, rack.now()) == 1
    assert state(rack, first)[0] == "lost"


def test_a_script_is_given_to_its_session_only(rack: Rack, welcome: Welcome) -> None:
    item = welcome.scripts[0]
    body = results.script(rack.store, welcome.token, item.sha256)
    assert hashlib.sha256(body).hexdigest() == item.sha256
    for token, sha256, expected in [
        ("guessed", item.sha256, "unknown session token"),
        (welcome.token, "0" * 64, "script 000000000000 is not of boot {boot}'s run"),
    ]:
        with pytest.raises(Forbidden) as refusal:
            results.script(rack.store, token, sha256)
        assert str(refusal.value) == expected.format(boot=rack.find_boot_of(welcome).id)


def test_an_aborted_run_orders_the_agent_to_abort(rack: Rack, welcome: Welcome) -> None:
    first = welcome.scripts[0].result
    commission.abort(rack.store, rack.policy, welcome.machine, actor="ada", now=rack.now())
    words = {"outcome": "aborted", "reason": "killed"}
    assert rack.send(welcome.token, event(1, "started", first)) == Ack(1, "abort", "aborted by ada")
    rack.send(welcome.token, event(2, "finished", first, **words), event(3, "end"))
    assert state(rack, first) == ("aborted", "aborted by ada")
    assert rack.find_boot_of(welcome).ended_at is not None


def stream_of(welcome: Welcome, document: bytes) -> list[Event]:
    """A whole run of an agent, one event after the other."""
    happened: list[tuple[str, int, dict]] = []
    for number, item in enumerate(welcome.scripts):
        happened.append(("started", item.result, {}))
        for piece in range(3):
            data = document if item.name == survey.RESOURCES and not piece else b"%d\n" % piece
            stream = "stderr" if piece else "stdout"
            happened.append(("output", item.result, {"data": data, "stream": stream}))
        happened.append(("heartbeat", 0, {}))
        happened.append(("finished", item.result, {"exit_status": number % 2, "runtime_s": 1.0}))
    happened.append(("end", 0, {}))
    return [event(seq, kind, on, **w) for seq, (kind, on, w) in enumerate(happened, start=1)]


def everything_stored(rack: Rack, welcome: Welcome) -> object:
    outputs = [output(rack, item.result) for item in welcome.scripts]
    (run,) = rack.runs(welcome.machine)
    marks = rack.marks(rack.find_boot_of(welcome).id)
    return outputs, rack.results(welcome), (run.state, run.reason), marks[3:]


# A batch is a window of the stream, whose events may come in any order.
windows = st.tuples(st.integers(0, 30), st.integers(1, 12), st.randoms(use_true_random=False))


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(windows, max_size=12))
def test_any_repeats_splits_and_reorderings_store_the_same(rack: Rack, batches) -> None:
    """The agent sends whatever it likes of its stream, then what is not acknowledged."""
    number = len(rack.machines())
    _, once = rack.arrive(uuid="", serial="", macs=[f"52:54:00:99:{number:02x}:00"])
    _, welcome = rack.arrive(uuid="", serial="", macs=[f"52:54:00:99:{number + 1:02x}:00"])
    rack.send(once.token, *stream_of(once, rack.document))
    stream = stream_of(welcome, rack.document)
    acked = 0
    for start, length, chance in batches:
        window = stream[start : start + length]
        chance.shuffle(window)
        ack = results.ingest(rack.store, rack.policy, welcome.token, Batch(window), rack.now())
        assert ack.seq >= acked
        acked = ack.seq
    while acked < len(stream):
        acked = rack.send(welcome.token, *stream[acked : acked + 5]).seq
    assert everything_stored(rack, welcome) == everything_stored(rack, once)


def test_base64_grows_a_full_chunk_to_no_more_than_an_event_may_hold() -> None:
    full = base64.b64encode(bytes(64 * 1024)).decode()
    assert Event(1, "output", data=full).data == full
