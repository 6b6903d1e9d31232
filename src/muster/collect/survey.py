# SPDX-License-Identifier: Apache-2.0
"""Runs the probes in their turn, timed, and goes on without one that fails or hangs."""

import threading
import time
from collections.abc import Callable

from muster.collect.reading import Root
from muster.wire.section import Complaint, Section
from muster.wire.shape import dataclass

PROBE_SECONDS = 45.0
"""The longest that one probe may take: three times what smartctl gets for all disks."""

# What a mistake of ours, met by a machine never seen, can raise. Nothing here does so on purpose.
_MISTAKES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass
class Probe:
    """A name, what to call, and what stands in its place if it fails."""

    name: str
    call: Callable[[Root], Section]
    empty: Callable[[], Section]


@dataclass
class Outcome:
    """How one probe went; `ms` of wall time."""

    section: Section
    ok: bool
    ms: float


def survey(probes: list[Probe], root: Root, seconds: float = PROBE_SECONDS) -> dict[str, Outcome]:
    """Call each probe; what it raises becomes its only error, and so does not ending in time."""
    return _Turns(probes, root).finish(seconds)


class _Turns:
    """A thread that calls probes, as broken hardware can hold a read in the kernel for ever.

    It is one thread for all until one hangs: to wake another processor for each probe, and to be
    woken, took a quarter of the survey's time in a virtual machine. Two, one of them for probes
    that wait, took longer, as each holds up the other's interpreter.
    """

    def __init__(self, probes: list[Probe], root: Root) -> None:
        self._probes = probes
        self._root = root
        self._outcomes: dict[str, Outcome] = {}
        self._lock = threading.Lock()
        self._left = False
        self._since = time.perf_counter()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def finish(self, seconds: float) -> dict[str, Outcome]:
        """The outcome of each; one that takes longer than `seconds` is left alone."""
        while self._thread.is_alive() and self._idle() < seconds:
            self._thread.join(max(0.0, seconds - self._idle()))
        with self._lock:
            self._left = True
        rest = self._probes[len(self._outcomes) :]
        if not rest:
            return self._outcomes
        alive = self._thread.is_alive()
        why = f"did not end within {seconds:g} s" if alive else "ended without a word"
        held = Outcome(_failed(rest[0], why), ok=False, ms=self._idle() * 1000)
        others = _Turns(rest[1:], self._root).finish(seconds)
        return self._outcomes | {rest[0].name: held} | others

    def _idle(self) -> float:
        """Seconds since the last probe ended."""
        return time.perf_counter() - self._since

    def _work(self) -> None:
        for probe in self._probes:
            section, ok = _call(probe, self._root)
            with self._lock:
                if self._left:
                    return
                self._outcomes[probe.name] = Outcome(section, ok, self._idle() * 1000)
                self._since = time.perf_counter()


def _call(probe: Probe, root: Root) -> tuple[Section, bool]:
    try:
        return probe.call(root), True
    except _MISTAKES as mistake:
        return _failed(probe, f"failed: {mistake!r}"), False


def _failed(probe: Probe, how: str) -> Section:
    section = probe.empty()
    section.errors.append(Complaint("/", f"the probe {how}"))
    return section
