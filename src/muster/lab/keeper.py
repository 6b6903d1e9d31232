# SPDX-License-Identifier: Apache-2.0
"""Keeps one server process alive: log, restart with back-off, stop and start on demand."""

import asyncio
import os
from pathlib import Path
from typing import Any

from muster.lab import activation
from muster.lab.children import Child
from muster.lab.errors import PowerFailed

STOP_GRACE_S = 15.0
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 15.0
# A server that lived this long has started well, so its next death begins a new count.
SETTLED_S = 60.0


class Keeper:
    """`state`: running, waiting (died, starts again after a pause) or stopped."""

    def __init__(
        self, argv: list[str], *, env: dict[str, str], log: Path, listen_fd: int | None
    ) -> None:
        self._argv = argv if listen_fd is None else activation.wrapped(listen_fd, argv)
        self._env = {**os.environ, **env}
        self._fds = [] if listen_fd is None else [listen_fd]
        self.log = log
        self._child: Child | None = None
        self._task: asyncio.Task[None] | None = None
        self._deaths = 0
        self._last_code: int | None = None

    def document(self) -> dict[str, Any]:
        waiting = "waiting" if self._task else "stopped"
        return {
            "argv": self._argv,
            "log": str(self.log),
            "pid": self._child.pid if self._child else None,
            "deaths": self._deaths,
            "last_exit": self._last_code,
            "state": "running" if self._child else waiting,
        }

    async def start(self) -> None:
        """Raises PowerFailed when the command cannot be executed at all."""
        if self._task is None:
            self._deaths = 0
            self._task = asyncio.create_task(self._keep(self._spawn()))

    async def stop(self) -> None:
        if self._task is None:
            return
        self._task.cancel()
        self._task = None
        if self._child is not None:
            self._last_code = await self._child.stop(grace_s=STOP_GRACE_S)
            self._child = None

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def _spawn(self) -> Child:
        with self.log.open("a") as log:
            log.write(f"=== start: {' '.join(self._argv)} ===\n")
        try:
            self._child = Child(self._argv, env=self._env, log=self.log, pass_fds=self._fds)
        except OSError as error:
            raise PowerFailed(f"the server did not start: {error}: {self._argv[0]}") from error
        return self._child

    async def _keep(self, child: Child) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            born = clock()
            self._last_code = await child.wait()
            self._child = None
            if clock() - born > SETTLED_S:
                self._deaths = 0
            await asyncio.sleep(min(FIRST_PAUSE_S * 2**self._deaths, LONGEST_PAUSE_S))
            self._deaths += 1
            child = self._spawn()
