# SPDX-License-Identifier: Apache-2.0
"""Child processes of the supervisor, which is process 1 of its own pid namespace.

A child leads its own process group, and the whole group ends with it, so that a server
killed with -9 leaves no DHCP daemon behind to hold its port.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_known: set[int] = set()


class Child:
    """One process. `code` is None while it runs, then its exit status (-9: killed by SIGKILL)."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=env,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self.code: int | None = None
        _known.add(self.pid)
        self._ended = asyncio.Event()
        self._pidfd = os.pidfd_open(self.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._end)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        # The leader is still a zombie here, so its group id cannot be another's yet.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.code = self._popen.wait()
        _known.discard(self.pid)
        self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.code is not None
        return self.code

    async def stop(self, *, grace_s: float) -> int:
        """SIGTERM, then SIGKILL when the grace is over."""
        if self.code is None:
            self._popen.terminate()
        try:
            async with asyncio.timeout(grace_s):
                return await self.wait()
        except TimeoutError:
            self._popen.kill()
            return await self.wait()


def reap_orphans() -> None:
    """Wait for processes that fell to process 1 when their own parent died."""
    for task in Path("/proc/self/task").iterdir():
        for pid in map(int, (task / "children").read_text().split()):
            if pid not in _known:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
