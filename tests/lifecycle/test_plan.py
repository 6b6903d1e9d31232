import json

import pytest
from rack import Rack, event

from muster.lifecycle import commission, results, scripts, survey, test
from muster.lifecycle.commission import Options
from muster.machine.states import Refused, State
from muster.scripts import catalogue
from muster.store import findings, runs
from muster.store.engine import Conflict
from muster.store.runs import Result
from muster.wire.hello import ScriptItem, Welcome

HEAD = "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n"
END = "# --- End MAAS 1.0 script metadata ---\n"


def source(*fields: str) -> bytes:
    return (HEAD + "".join(f"# {field}\n" for field in fields) + END).encode()


@pytest.fixture(autouse=True)
def no_tests_but_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    real = catalogue.builtin
    monkeypatch.setattr(catalogue, "builtin", lambda kind: real(kind) if kind[0] == "c" else [])


@pytest.fixture
def machine(rack: Rack) -> str:
    """A New machine's name."""
    _plan, welcome = rack.arrive()
    rack.finish(welcome)
    return welcome.machine


def add(rack: Rack, *fields: str) -> None:
    scripts.add(rack.store, source(*fields), actor="a", now=rack.now())


def start(rack: Rack, name: str, **words) -> Welcome:
    commission.start(rack.store, rack.policy, name, Options(**words), actor="a", now=rack.now())
    return rack.arrive()[1]


class Agent:
    """Plays scripts to their end as the agent does, asking for more until there is none."""

    def __init__(self, rack: Rack, welcome: Welcome, **said) -> None:
        self.rack, self.token, self.seq = rack, welcome.token, 0
        self.said: dict[str, dict] = said
        self.ran: list[str] = []
        self.todo = [item for item in welcome.scripts if not item.done]

    def tell(self, kind: str, result: int = 0, **words) -> None:
        self.seq += 1
        self.rack.send(self.token, event(self.seq, kind, result, **words))

    def play(self) -> None:
        while self.todo:
            for item in self.todo:
                self.one(item)
            answer = results.plan(self.rack.store, self.token, self.rack.now())
            self.todo = [item for item in answer.scripts if not item.done]
        self.tell("end")

    def one(self, item: ScriptItem) -> None:
        self.ran.append(" ".join([item.name, *item.arguments]))
        said = self.said.get(item.name.replace("-", "_"), {})
        self.tell("started", item.result)
        if item.name == survey.RESOURCES:
            self.tell("output", item.result, data=self.rack.document)
        for stream in ("stdout", "result"):
            if stream in said:
                self.tell("output", item.result, data=said[stream], stream=stream)
        self.tell("finished", item.result, exit_status=said.get("exit_status", 0), runtime_s=1.0)


def newest(rack: Rack, name: str) -> list[Result]:
    with rack.store.read() as tx:
        return runs.results_of(tx, rack.runs(name)[0].id)


def test_tests_follow_commissioning_once_for_each_disk(rack: Rack, machine: str) -> None:
    add(rack, "name: look", "hardware_type: storage", "parallel: instance", "tags: commissioning",
        "parameters:", "  storage: {type: storage, argument_format: '{path}'}")  # fmt: skip
    agent = Agent(rack, start(rack, machine))
    agent.play()
    disks = json.loads(rack.document)["resources"]["storage"]["disks"]
    kept = [d["id"] for d in disks if d["type"] != "cdrom" and d["size"] and not d["removable"]]
    assert kept
    assert [r for r in agent.ran if r.startswith("look")] == [f"look /dev/{d}" for d in kept]
    looked = [result for result in newest(rack, machine) if result.name == "look"]
    assert [result.spec["holds"] for result in looked] == [[f"disk:{d}"] for d in kept]
    assert all(result.device.startswith(d) for result, d in zip(looked, kept, strict=True))
    assert rack.machine(machine).state == State.READY
    told = " ".join(rack.told("machine.state"))
    assert "Commissioning -> Testing" in told
    assert "Testing -> Ready" in told


def test_a_failed_test_names_device_and_number(rack: Rack, machine: str) -> None:
    add(rack, "name: speed", "tags: commissioning", "results: {iops: {title: Reads (IOPS)}}")
    use = scripts.Use(thresholds={"iops": {"min": 1000}})
    scripts.change(rack.store, "speed", use, actor="a", now=rack.now())
    Agent(rack, start(rack, machine), speed={"result": b"results: {iops: 900}"}).play()
    found = rack.machine(machine)
    assert found.state == State.FAILED_TESTING
    assert found.state_reason == "speed failed: iops is 900, less than 1000"
    assert newest(rack, machine)[-1].values == {"iops": 900}
    test.override(rack.store, machine, reason="slow is fine", actor="eve", now=rack.now())
    found = rack.machine(machine)
    assert (found.state, found.state_reason) == (
        State.READY,
        "failed tests overridden by eve: slow is fine",
    )


def test_no_test_runs_when_commissioning_failed(rack: Rack, machine: str) -> None:
    add(rack, "name: 60-mine", "script_type: commissioning")
    add(rack, "name: look", "tags: commissioning")
    agent = Agent(rack, start(rack, machine), **{"60_mine": {"exit_status": 1}})
    agent.play()
    assert "look" not in agent.ran
    assert rack.machine(machine).state == State.FAILED_COMMISSIONING


@pytest.mark.parametrize(
    ("said", "state", "reason", "end"),
    [
        ({"result": b"status: failed"}, "failed", "its result file says failed", "Failed testing"),
        ({"result": b"status: degraded"}, "degraded", "", "Ready"),
        ({"result": b"status: skipped"}, "skipped", "", "Ready"),
        ({"result": b"status: passed", "exit_status": 4}, "failed", "exit status 4",
         "Failed testing"),
        ({"result": b"results: {a: {b: c}}"}, "failed", "its result file cannot be used: results.a:"
         " must be a text, a number, true, false, or a list", "Failed testing"),
        ({"result": b"\xff\xfe"}, "failed", "its result file cannot be used: not UTF-8 at byte 0",
         "Failed testing"),
    ],
)  # fmt: skip
def test_exit_status_and_result_file_both_count(
    rack: Rack, machine: str, said: dict, state: str, reason: str, end: str
) -> None:
    add(rack, "name: look", "tags: commissioning")
    Agent(rack, start(rack, machine), look=said).play()
    result = newest(rack, machine)[-1]
    assert (result.state, result.reason) == (state, reason)
    assert rack.machine(machine).state == end


def test_an_optional_script_does_not_fail_its_run(rack: Rack, machine: str) -> None:
    add(rack, "name: extra", "script_type: commissioning", "tags: optional")
    Agent(rack, start(rack, machine), extra={"exit_status": 1}).play()
    assert rack.machine(machine).state == State.READY


def test_scripts_for_hardware_run_where_it_is(rack: Rack, machine: str) -> None:
    add(rack, "name: there", "script_type: commissioning", "for_hardware: 'pci:8086:1521'")
    add(rack, "name: elsewhere", "script_type: commissioning", "for_hardware: 'pci:1000:0016'")
    with rack.store.write() as tx:
        aliases = ["pci:v00008086d00001521sv0sd0bc02sc00i00"]
        found = rack.machine(machine).id
        findings.put(tx, found, "modaliases", aliases, result=1, now=rack.now())
    agent = Agent(rack, start(rack, machine))
    agent.play()
    assert "there" in agent.ran
    assert "elsewhere" not in agent.ran


def test_built_in_scripts_run_again_after_recommission(rack: Rack, machine: str) -> None:
    add(rack, "name: raid", "script_type: commissioning", "recommission: true")
    agent = Agent(rack, start(rack, machine))
    agent.play()
    assert agent.ran.count("raid") == 1
    assert agent.ran.count(survey.RESOURCES) == 2
    assert rack.machine(machine).state == State.READY


def test_a_destructive_test_needs_the_machine_s_name_again(rack: Rack, machine: str) -> None:
    add(rack, "name: wipe", "destructive: true")
    for destroy in ("", "other"):
        with pytest.raises(Conflict, match=f"confirm by destroy: {machine}"):
            start(rack, machine, tests=["wipe"], destroy=destroy)
    assert rack.machine(machine).state == State.NEW
    agent = Agent(rack, start(rack, machine, tests=["wipe"], destroy=machine))
    agent.play()
    assert agent.ran[-1] == "wipe"


def test_testing_alone_never_makes_a_new_machine_ready(rack: Rack, machine: str) -> None:
    add(rack, "name: look")
    with pytest.raises(Refused):
        test.start(rack.store, rack.policy, machine, Options(tests=["look"]), actor="a",
                   now=rack.now())  # fmt: skip


def test_testing_on_demand_reads_the_resources_first(rack: Rack, machine: str) -> None:
    add(rack, "name: look", "tags: quick")
    Agent(rack, start(rack, machine, tests=["none"])).play()
    options = Options(tests=["quick"])
    test.start(rack.store, rack.policy, machine, options, actor="a", now=rack.now())
    assert rack.machine(machine).state == State.TESTING
    agent = Agent(rack, rack.arrive()[1])
    agent.play()
    assert agent.ran == [survey.RESOURCES, "look"]
    assert rack.machine(machine).state_reason == "tests passed"


def test_parameters_are_checked_before_anything_starts(rack: Rack, machine: str) -> None:
    add(rack, "name: burn", "parameters:", "  runtime: {type: runtime, max: 60, default: 9}")
    for given, why in (
        ({"burn": {"runtime": "90"}}, "more than the maximum"),
        ({"burn": {"speed": "9"}}, "no chosen script takes the parameter burn.speed"),
    ):
        with pytest.raises(Conflict, match=why):
            start(rack, machine, tests=["burn"], parameters=given)
    with pytest.raises(Conflict, match="no enabled script has the name or tag 'nothing'"):
        start(rack, machine, tests=["nothing"])
    agent = Agent(rack, start(rack, machine, tests=["burn"], parameters={"*": {"runtime": "30"}}))
    agent.play()
    assert agent.ran[-1] == "burn --runtime=30"


def test_a_required_parameter_without_a_value_is_asked_for(rack: Rack, machine: str) -> None:
    add(rack, "name: bmc", "script_type: commissioning", "parameters: {secret: {type: password}}")
    with pytest.raises(Conflict, match="bmc needs a value for its parameter secret"):
        start(rack, machine)
    start(rack, machine, parameters={"bmc": {"secret": "hunter22"}})
    shown = next(r for r in newest(rack, machine) if r.name == "bmc").spec["parameters"]
    assert shown == {"secret": "********"}


def test_a_run_keeps_the_version_it_was_opened_with(rack: Rack, machine: str) -> None:
    add(rack, "name: look", "title: one", "tags: commissioning")
    welcome = start(rack, machine)
    add(rack, "name: look", "title: two", "tags: commissioning")
    Agent(rack, welcome).play()
    assert newest(rack, machine)[-1].spec["title"] == "one"


def test_a_script_that_may_reboot_goes_on_in_the_next_boot(rack: Rack, machine: str) -> None:
    add(rack, "name: 10-firmware", "script_type: commissioning", "may_reboot: true")
    add(rack, "name: 20-plain", "script_type: commissioning")
    agent = Agent(rack, start(rack, machine))
    for name in ("10-firmware", "20-plain"):
        agent.tell("started", next(i.result for i in agent.todo if i.name == name))
    again = rack.arrive()[1]
    by_name = {item.name: item for item in again.scripts}
    assert (by_name["10-firmware"].done, by_name["10-firmware"].has_started) == (False, True)
    assert by_name["20-plain"].done
    states = {result.name: result.state for result in newest(rack, machine)}
    assert (states["10-firmware"], states["20-plain"]) == ("pending", "lost")


def test_a_suppressed_result_says_why_and_can_count_again(rack: Rack, machine: str) -> None:
    result = newest(rack, machine)[0].id
    test.suppress(rack.store, result, reason="known", actor="a", now=rack.now())
    assert newest(rack, machine)[0].suppressed == "known"
    test.suppress(rack.store, result, reason="", actor="a", now=rack.now())
    assert newest(rack, machine)[0].suppressed == ""


def test_output_beyond_the_limit_is_left_out_by_the_server_too(rack: Rack, machine: str) -> None:
    rack.policy = type(rack.policy)(output_limit=1000)
    agent = Agent(rack, start(rack, machine))
    item = agent.todo[0]
    agent.tell("started", item.result)
    for _ in range(40):
        agent.tell("output", item.result, data=b"x" * 48 * 1024)
    with rack.store.read() as tx:
        kept = runs.output(tx, item.result)
    assert len(kept) < 1024 * 1024 + 10_000
    assert kept.count(b"what follows is left out") == 1
