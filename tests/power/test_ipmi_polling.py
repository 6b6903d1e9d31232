"""Many IPMI BMCs asked by few ipmipower processes; the BMCs are ours, the client is FreeIPMI."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.power.ipmi_bmc import BUSY, IpmiBmc, listen

from muster.power import ipmi, ipmiprompt, programs
from muster.power.drivers import PowerError, check
from muster.power.ipmiprompt import Login, Prompt

pytestmark = pytest.mark.skipif(
    not any(Path(folder, "ipmipower").exists() for folder in programs.PATH.split(":")),
    reason="FreeIPMI is not installed (apt-get install freeipmi-tools)",
)
Poll = Callable[..., Awaitable[str]]


@pytest.fixture
def net(worker_id: str) -> str:
    """A network of its own for each process that tests."""
    return f"127.0.{100 + int(re.sub(r'[^0-9]', '', worker_id) or 0)}"


def polled(bmcs: dict[str, IpmiBmc], work: Callable[[Poll], Awaitable[Any]]) -> Any:
    """Play the BMCs, and do the work with one poller; what it kept is ended afterwards."""

    async def play() -> Any:
        playing = [await listen(bmc, host, 623) for host, bmc in bmcs.items()]
        poller = ipmi.Poller()

        async def poll(host: str, **changes: str) -> str:
            given = {"power_address": host, "power_user": "maas", "cipher_suite_id": "17"}
            given["power_pass"] = bmcs[host].password
            try:
                return (await poller.look(check("ipmi", given | changes))).state
            except PowerError as error:
                return str(error)

        try:
            return await asyncio.wait_for(work(poll), 20)
        finally:
            await poller.close()
            for transport in playing:
                transport.close()

    return asyncio.run(play())


def children() -> dict[int, str]:
    """Command lines and environments of the ipmipowers that this process has begun."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                texts = [(folder / name).read_bytes() for name in ("cmdline", "environ")]
                found[int(folder.name)] = b" ".join(texts).decode(errors="replace")
        except OSError:
            continue
    return {number: words for number, words in found.items() if "ipmipower" in words}


def test_bmcs_that_share_a_login_are_asked_by_one_process(net: str) -> None:
    bmcs = {f"{net}.{n}": IpmiBmc(power=n % 2 == 0) for n in range(1, 41)}

    async def work(poll: Poll) -> Any:
        said = await asyncio.gather(*map(poll, bmcs))
        return said, len(children())

    said, processes = polled(bmcs, work)
    assert said == ["on" if bmc.power else "off" for bmc in bmcs.values()]
    assert processes == 1


def test_each_bmc_gets_its_own_password_and_each_failure_its_own_words(
    net: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ipmiprompt, "ASK_S", 2)
    bmcs = {f"{net}.{n}": IpmiBmc(password=f"pass{n}") for n in range(1, 8)}
    good, wrong, nobody, busy, old, spaces, odd = bmcs
    bmcs[busy].code = BUSY
    bmcs[old].suites = (3,)
    bmcs[spaces].password = 'two "words'
    bmcs[odd].password = "#a\"'\\"

    async def work(poll: Poll) -> list[str]:
        changes = {wrong: {"power_pass": "pass1"}, nobody: {"power_user": "nobody"}}
        asked = [poll(host, **changes.get(host, {})) for host in bmcs]
        return list(await asyncio.gather(*asked))

    told = [
        word.removeprefix(f"{host}: ") for host, word in zip(bmcs, polled(bmcs, work), strict=True)
    ]
    assert told[:4] == [
        "off",
        "wrong password; set power_pass",
        "no such user; set power_user",
        "is busy; it is asked again",
    ]
    assert told[4].startswith("does not offer cipher suite 17")
    assert told[5:] == ["off", "off"]
    assert good in bmcs


def test_a_dead_bmc_delays_nobody_who_shares_its_login(net: str) -> None:
    dead, *live = bmcs = {f"{net}.{n}": IpmiBmc(answers=n > 1) for n in range(1, 21)}

    async def work(poll: Poll) -> Any:
        waits = asyncio.create_task(poll(dead))
        said = await asyncio.gather(*map(poll, live))
        again = await asyncio.gather(*map(poll, live))
        early = waits.done()
        waits.cancel()
        return said, again, early

    assert polled(bmcs, work) == (["off"] * 19, ["off"] * 19, False)


def test_no_password_is_in_what_others_can_see_and_no_process_stays(net: str) -> None:
    bmcs = {f"{net}.{n}": IpmiBmc(password=f"tell-nobody-{n}", k_g=b"hush-k-g") for n in (1, 2)}

    async def work(poll: Poll) -> Any:
        said = await asyncio.gather(*(poll(host, k_g="hush-k-g") for host in bmcs))
        return said, children()

    said, seen = polled(bmcs, work)
    assert said == ["off", "off"]
    assert seen
    assert not [words for words in seen.values() if "tell-nobody" in words or "hush-k-g" in words]
    assert children() == {}


def test_a_process_that_dies_fails_its_questions_and_no_later_one(net: str) -> None:
    bmcs = {f"{net}.{n}": IpmiBmc(answers=n > 1) for n in (1, 2)}
    dead, live = bmcs

    async def work(poll: Poll) -> Any:
        waits = asyncio.create_task(poll(dead))
        while not children():
            await asyncio.sleep(0.01)
        for number in children():
            os.kill(number, 9)
        return await waits, await poll(live)

    told = f"{dead}: ipmipower ended unasked; it is asked again"
    assert polled(bmcs, work) == (told, "off")


def test_a_bmc_whose_answers_are_cut_off_fails_nobody_who_shares_its_login(net: str) -> None:
    bmcs = {f"{net}.{n}": IpmiBmc() for n in range(1, 21)}
    half = f"{net}.7"
    bmcs[half].part = 0.6

    async def work(poll: Poll) -> Any:
        return dict(zip(bmcs, await asyncio.gather(*map(poll, bmcs)), strict=True))

    said = polled(bmcs, work)
    assert said.pop(half) == (
        f"{half}: breaks off in the middle of its answer; it may be restarting, or a firewall on"
        " the way cuts packets"
    )
    assert set(said.values()) == {"off"}


def test_a_setting_that_is_not_taken_asks_nobody(net: str) -> None:
    async def work() -> None:
        prompt = await Prompt.start("")
        try:
            with pytest.raises(ipmiprompt.NotTaken, match=r"^ipmipower does not take this pass"):
                await prompt.become(Login("", "maas", "x" * 21), [f"{net}.1"])
        finally:
            await prompt.end()

    asyncio.run(work())


@pytest.mark.slow
def test_a_prompt_does_not_hang_wherever_a_command_ends_in_its_buffer() -> None:
    async def work() -> None:
        prompt = await Prompt.start("")
        try:
            for number in range(3000):
                login = Login("", "maas", "x" * (1 + number * 7 % 16))
                await asyncio.wait_for(prompt.become(login, [f"127.9.{number % 250}.1"]), 5)
        finally:
            await prompt.end()

    asyncio.run(work())
