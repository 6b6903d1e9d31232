# SPDX-License-Identifier: Apache-2.0
"""Many BMCs' power states by few ipmipower processes, each told at its prompt whom to ask.

A process for each BMC costs 8 ms CPU and another 2 ms to start it, mostly FreeIPMI's beginning;
one that waits at its prompt 1.8 ms for a BMC with a user and password of its own, and 0.7 ms a BMC
where many share them (ARCHITECTURE.md). What a BMC answers is told as soon as it is printed, so one
that is dead holds its process and nobody's answer. Passwords go through the process's standard
input, which nobody else can read.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

from muster.power import programs
from muster.power.drivers import PowerError

# As many addresses as ipmipower's ring of 4 KiB holds.
HOSTS = 200
PROCESSES = 64
IDLE = 16
GATHER_S = 0.05
# FreeIPMI gives up a session after 8 s (ipmi.py).
ASK_S = 12.0
_PROMPT = "ipmipower> "
_ENDED = "ipmipower ended unasked; it is asked again"


@dataclass(frozen=True)
class Login:
    """What BMCs must share to be asked together; `options` is a file of FreeIPMI."""

    options: str = field(repr=False)
    user: str
    password: str = field(repr=False)


class NotTaken(PowerError):
    """ipmipower takes no such user or password at its prompt; a process of its own may say why."""


class Broken(PowerError):
    """ipmipower ended, or told of what was not asked; its words."""


def takes(word: str) -> bool:
    """The prompt splits at white space and knows no quotes."""
    return word.isascii() and word.isprintable() and " " not in word


class Prompt:
    """One ipmipower that waits for commands."""

    def __init__(self, options: str, process: asyncio.subprocess.Process, tell: int) -> None:
        self.options = options
        self._process = process
        self._tell_to = tell
        self._rest = ""
        self._lines: list[str] = []

    @classmethod
    async def start(cls, options: str) -> "Prompt":
        """Raises PowerError when it is not installed."""
        # Without interval 0 it pings every host for as long as it runs.
        words = ["--ping-interval=0", f"--config-file={programs.SECRET_FILE}"]
        heard, tell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            process = await programs.start(
                "ipmipower", *words, secret=options, package="freeipmi-tools", stdin=heard
            )
        except BaseException:
            os.close(tell)
            raise
        finally:
            # Without O_NONBLOCK it waits for ever in a second read() when a command ends where
            # its ring of 4,097 bytes does: 1 of some 2,000 commands, FreeIPMI 1.6.10.
            os.close(heard)
        return cls(options, process, tell)

    async def become(self, login: Login, hosts: list[str]) -> None:
        """Forget the last ones; nothing is asked before each setting is confirmed."""
        commands = (
            (f"hostname {','.join(hosts)}", "hostname: "),
            (f"username {login.user}", f"username: {login.user or 'NULL'}"),
            (f"password {login.password}", "password changed"),
        )
        for command, expected in commands:
            self._tell(command)
            line = await self._line()
            if not line.startswith(expected):
                raise NotTaken(f"ipmipower does not take this {command.partition(' ')[0]}")

    async def states(self, count: int) -> AsyncIterator[tuple[str, str]]:
        """(host, its state or ipmipower's words for a failure), each as soon as it is known."""
        self._tell("stat")
        for _ in range(count):
            host, _, said = (await self._line()).partition(": ")
            yield host, said

    async def end(self) -> None:
        """At once, whatever it is doing."""
        os.close(self._tell_to)
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    def _tell(self, command: str) -> None:
        # At most 4 KiB into an empty pipe, as each command's answer is waited for.
        os.write(self._tell_to, f"{command}\n".encode())

    async def _line(self) -> str:
        """The next one that is not empty; raises Broken when ipmipower has ended."""
        assert self._process.stdout is not None
        while not self._lines:
            piece = await self._process.stdout.read(16_384)
            if not piece:
                raise Broken(_ENDED)
            # It prints no line break after its prompt, nor after some answers.
            self._rest = (self._rest + piece.decode(errors="replace")).replace(_PROMPT, "\n")
            *whole, self._rest = self._rest.split("\n")
            self._lines = [line for line in whole if line]
        return self._lines.pop(0)


class Prompts:
    """Questions of a short moment with one login are asked together, by PROCESSES at most."""

    def __init__(self) -> None:
        self._gathered: dict[Login, dict[str, asyncio.Future[str]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._free = asyncio.Semaphore(PROCESSES)
        self._idle: list[Prompt] = []
        self._serving: set[asyncio.Task[None]] = set()

    async def state(self, login: Login, host: str) -> str:
        """What ipmipower says of one IPv4 address; raises PowerError."""
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = loop.call_later(GATHER_S, self._begin)
        group = self._gathered.setdefault(login, {})
        # Shielded, as two machines may be switched by one BMC.
        return await asyncio.shield(group.setdefault(host, loop.create_future()))

    async def close(self) -> None:
        """End every process; who still waits is cancelled."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await asyncio.gather(*(prompt.end() for prompt in self._idle))
        self._idle.clear()

    def _begin(self) -> None:
        self._timer = None
        gathered, self._gathered = self._gathered, {}
        for login, group in gathered.items():
            hosts = list(group)
            for first in range(0, len(hosts), HOSTS):
                self._go(login, {host: group[host] for host in hosts[first : first + HOSTS]})

    def _go(self, login: Login, waiting: dict[str, asyncio.Future[str]]) -> None:
        task = asyncio.create_task(self._serve(login, waiting))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, login: Login, waiting: dict[str, asyncio.Future[str]]) -> None:
        """Every future gets its answer or the reason why there is none."""
        failure = PowerError("the server stops")
        try:
            async with self._free:
                await self._ask(login, waiting)
        except (Broken, OSError) as error:
            failure = error if isinstance(error, Broken) else Broken(_ENDED)
            if len(left := [host for host in waiting if not waiting[host].done()]) > 1:
                # One BMC whose answers are cut off ends ipmipower 1.6.10 for all that it asks:
                # halves are asked apart until that one is alone.
                for half in (left[::2], left[1::2]):
                    self._go(login, {host: waiting.pop(host) for host in half})
        except PowerError as error:
            failure = error
        finally:
            for future in waiting.values():
                if not future.done():
                    future.set_exception(failure)
                    future.exception()  # Known, also when nobody waits for it any more.

    async def _ask(self, login: Login, waiting: dict[str, asyncio.Future[str]]) -> None:
        prompt = await self._take(login.options)
        try:
            async with asyncio.timeout(ASK_S):
                await prompt.become(login, list(waiting))
                async for host, said in prompt.states(len(waiting)):
                    if host not in waiting:
                        raise Broken(f"{host[:60]}: {said[:60]}")
                    if not waiting[host].done():
                        waiting[host].set_result(said)
        except TimeoutError:
            # Of a BMC that says "busy" it prints nothing, also in a process of its own.
            await prompt.end()
            for future in waiting.values():
                if not future.done():
                    future.set_result("busy")
            return
        except BaseException:
            # Its next words would be taken for the next ones' answers.
            await prompt.end()
            raise
        self._idle.append(prompt)
        while len(self._idle) > IDLE:
            await self._idle.pop(0).end()

    async def _take(self, options: str) -> Prompt:
        for number, prompt in enumerate(self._idle):
            if prompt.options == options:
                return self._idle.pop(number)
        return await Prompt.start(options)
