"""Who may fetch when many start at once: in turn, told when to ask again, never refused."""

import heapq
import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.desk import MAC, UUID, Desk, resources, story
from tests.conftest import Clock

from muster.boot.admission import HOLD_S, LONGEST_S, Turnstile
from muster.images.library import Library
from muster.store.engine import Store

URL = "http://10.0.0.1:8472"


class Hall:
    """A clock in seconds and a turnstile that goes by it."""

    def __init__(self, at_once: int, chance: Callable[[], float] = lambda: 0.5) -> None:
        self.now = 1000.0
        self.turns = Turnstile("test", at_once, clock=lambda: self.now, chance=chance)


def test_so_many_are_let_in_and_the_others_told_when_to_come_back() -> None:
    hall = Hall(3)
    assert [hall.turns.ask(f"m{n}") for n in range(3)] == [0, 0, 0]
    waits = [hall.turns.ask(f"m{n}") for n in range(3, 9)]
    assert all(2 <= wait <= LONGEST_S for wait in waits)
    assert waits == sorted(waits)
    assert hall.turns.waiting == 6


def test_room_is_held_for_who_came_before_and_asks_again_soon() -> None:
    hall = Hall(1)
    hall.turns.ask("first")
    hall.now += hall.turns.ask("second")
    hall.turns.leave("first")
    assert hall.turns.ask("newcomer") > 0
    assert hall.turns.again("second") == 0
    assert hall.turns.ask("second") == 0
    assert hall.turns.waiting == 1


def test_room_does_not_stay_empty_for_who_sleeps_on() -> None:
    hall = Hall(1)
    hall.turns.ask("first")
    asleep = hall.turns.ask("second")
    hall.turns.leave("first")
    assert hall.turns.ask("newcomer") == 0
    hall.now += asleep
    assert hall.turns.again("second") > 0
    hall.turns.leave("newcomer")
    hall.now += LONGEST_S
    assert hall.turns.ask("second") == 0


@pytest.mark.parametrize("late", [0.5, 4.0])
@pytest.mark.parametrize("at_once", [16, 64, 256])
def test_a_hall_is_let_in_as_quickly_as_it_is_served_and_nobody_is_forgotten(
    at_once: int, late: float
) -> None:
    """1,000 machines within 15 s; the wire serves 20 a second, however many share it."""
    chance = random.Random(1)
    hall = Hall(at_once, chance.random)
    comings = [(hall.now + 15 * chance.random(), number, "ask") for number in range(1000)]
    came = {number: at for at, number, _ in comings}
    took = {}
    heapq.heapify(comings)
    begun, inside = hall.now, 0
    while comings:
        hall.now, number, does = heapq.heappop(comings)
        if does == "leave":
            hall.turns.leave(str(number))
            took[number] = hall.now - came[number]
            inside -= 1
        elif wait := hall.turns.ask(str(number)):
            heapq.heappush(comings, (hall.now + wait + late * chance.random(), number, "ask"))
        else:
            inside += 1
            lasts = inside / 20 * chance.uniform(0.7, 1.3)
            heapq.heappush(comings, (hall.now + lasts, number, "leave"))
    assert len(took) == 1000
    assert hall.now - begun < 1.2 * 1000 / 20
    assert max(took.values()) < 55
    assert hall.turns.waiting == 0


def test_a_storm_of_yesterday_says_nothing_of_how_quickly_room_is_made_today() -> None:
    hall = Hall(2)
    for number in range(10):
        hall.turns.ask(f"m{number}")
        hall.turns.leave(f"m{number}")
    hall.now += 86400
    waits = [hall.turns.ask(f"n{number}") for number in range(4)]
    assert waits[:2] == [0, 0]
    assert max(waits) <= 5


def test_who_asks_twice_takes_one_place_and_leaves_by_any_of_its_names() -> None:
    hall = Hall(2)
    for name in ("nonce-1", "nonce-2"):
        assert hall.turns.ask("m1") == 0
        hall.turns.named("m1", name)
    assert hall.turns.ask("m2") == 0
    assert hall.turns.ask("m3") > 0
    hall.turns.leave("nonce-1")
    hall.turns.leave("nonce-2")
    hall.turns.leave("unheard of")
    assert hall.turns.ask("m3") == 0
    assert hall.turns.ask("m4") > 0


def test_a_machine_that_was_switched_off_does_not_hold_up_the_others() -> None:
    hall = Hall(1)
    hall.turns.ask("dead inside")
    hall.turns.ask("dead outside")
    hall.now += HOLD_S + 1
    assert hall.turns.ask("alive") == 0
    assert hall.turns.waiting == 0


def test_the_wait_follows_how_quickly_machines_make_room() -> None:
    hall = Hall(10)
    for n in range(10):
        hall.turns.ask(f"m{n}")
    for n in range(10):
        hall.now += 0.1
        hall.turns.leave(f"m{n}")
        assert hall.turns.ask(f"n{n}") == 0
    assert [hall.turns.ask(f"w{n}") for n in range(50)][-1] == pytest.approx(50 * 0.9 / 10, rel=0.2)


@given(st.data())
def test_never_more_than_so_many_and_everybody_who_asks_on_gets_in(data: st.DataObject) -> None:
    at_once = data.draw(st.integers(1, 4))
    hall = Hall(at_once)
    inside: set[str] = set()
    left = {f"m{n}" for n in range(data.draw(st.integers(1, 12)))}
    due = dict.fromkeys(left, hall.now)
    for _ in range(400):
        if not left:
            break
        who = min(sorted(left), key=lambda name: due[name])
        hall.now = max(hall.now, due[who]) + data.draw(st.sampled_from([0.0, 0.5, 3.0]))
        wait = hall.turns.again(who) or hall.turns.ask(who)
        if wait:
            due[who] = hall.now + wait
        else:
            left.discard(who)
            inside.add(who)
        assert len(inside) <= at_once
        if inside and (len(inside) == at_once or data.draw(st.booleans())):
            hall.turns.leave(inside.pop())
    assert not left


@pytest.fixture
def desk(store: Store, clock: Clock, library: Library) -> Iterator[Desk]:
    made = Desk(store, library, clock, url=URL, boots_at_once=1, roots_at_once=1, agents_at_once=0)
    with made.client:
        yield made


def ask(desk: Desk, number: int, loader: str = "ipxe") -> str:
    got = desk.client.get(f"/boot/{loader}", params={"mac": f"52:54:00:00:00:{number:02x}"})
    assert got.status_code == 200
    return str(got.text)


def report(desk: Desk, answer: str, phase: str) -> None:
    nonce = answer.split("/boot/report/")[1].split()[0]
    body = {"phase": phase, "status": "done", "detail": "", "uptime_s": 1.0}
    assert desk.client.post(f"/boot/report/{nonce}", json=body).status_code == 204


def test_a_loader_whose_turn_has_not_come_sleeps_and_asks_again(desk: Desk) -> None:
    first = ask(desk, 1)
    assert "kernel http" in first
    for _ in range(3):
        told = ask(desk, 2)
        seconds = told.split("sleep ")[1].split()[0]
        assert told == (
            "#!ipxe\necho muster: many machines start; its turn comes: asking again in"
            f" {seconds} s\nsleep {seconds}\nchain --replace {URL}/boot/start.ipxe\n"
        )
    other = ask(desk, 3, "grub")
    assert len(other) == 8192
    assert other.splitlines()[1].startswith("sleep ")
    # The wait is on the timeline once, and in the events.
    waited = next(boot for boot in desk.get("/boots") if boot["mac"].endswith(":02"))
    details = [mark["detail"] for mark in waited["timeline"]]
    assert sum("boots_at_once" in detail for detail in details) == 1
    kinds = [event["kind"] for event in desk.get("/events")]
    assert kinds.count("boot.crowd") == 1
    # Room is made by the kernel's first word.
    report(desk, first, "network")
    second = ask(desk, 2)
    assert "kernel http" in second
    report(desk, second, "network")
    assert 'linux "' in ask(desk, 3, "grub")
    crowd = [event["message"] for event in desk.get("/events") if event["kind"] == "boot.crowd"]
    assert len(crowd) == 2
    assert any("no machine waits" in message for message in crowd)


def test_machines_that_start_their_own_disk_never_wait(
    store: Store, library: Library, clock: Clock
) -> None:
    desk = Desk(store, library, clock, url=URL, boots_at_once=1)
    with desk.client:
        welcome = desk.enlist()
        desk.events(welcome["token"], story(welcome, document=resources()))
        assert "kernel http" in ask(desk, 1)
        assert "sleep" in ask(desk, 2)
        query = {"mac": MAC, "uuid": UUID, "serial": "S1"}
        assert "sanboot" in desk.client.get("/boot/ipxe", params=query).text


def test_the_initrd_fetches_the_root_in_turn(desk: Desk) -> None:
    first = ask(desk, 1)
    nonce = first.split("/boot/report/")[1].split()[0]
    assert desk.client.get(f"/boot/turn/{nonce}").text == "0\n"
    assert int(desk.client.get("/boot/turn/another").text) >= 1
    report(desk, first, "root")
    assert desk.client.get("/boot/turn/another").text == "0\n"


def test_agents_beyond_the_limit_are_told_to_come_later_and_loaders_are_not(desk: Desk) -> None:
    for path in ("/agent/hello", "/agent/events", "/agent/plan"):
        answer = desk.client.post(path, json={})
        assert answer.status_code == 503
        assert 1 <= int(answer.headers["retry-after"]) <= 5
        assert answer.json()["status_code"] == 503
    assert desk.client.get("/agent/agent.pyz").status_code == 200
    assert "kernel http" in ask(desk, 1)
    assert "muster_agent_later_total" in desk.client.get("/metrics").text


def test_turns_are_in_the_metrics(desk: Desk) -> None:
    ask(desk, 1)
    ask(desk, 2)
    text = desk.client.get("/metrics").text
    assert 'muster_turns_taken{what="boot"} 1.0' in text
    assert 'muster_turns_waiting{what="boot"} 1.0' in text
