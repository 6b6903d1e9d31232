# SPDX-License-Identifier: Apache-2.0
"""Runs one program with a time limit; what is secret reaches it through a file in memory only.

Arguments and environment of a process can be read by others (`ps`, /proc); a file on disk stays
when the server is killed. The program opens /dev/fd/N, which nobody else can.
"""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass

from muster.power.drivers import PowerError

SECRET_FILE = "{secret file}"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_OUTPUT_LIMIT = 64 * 1024


@dataclass(frozen=True)
class Ended:
    """Exit status and what was printed, both streams."""

    status: int
    output: str


async def run(
    *argv: str,
    package: str,
    secret: str = "",
    seconds: float = 25,
    environment: dict[str, str] | None = None,
) -> Ended:
    """Run to the end; SECRET_FILE among the arguments is replaced by a path to `secret`.

    Raises PowerError when it is not installed (`package` has it) or takes longer.
    """
    process = await start(
        *argv, package=package, secret=secret, stdin=DEVNULL, environment=environment
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    except BaseException as error:
        # Also when the task is cancelled: nothing of ours stays behind.
        process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            raise PowerError(f"{argv[0]}: not done within {seconds:g} s") from error
        raise
    text = output[:_OUTPUT_LIMIT].decode(errors="replace")
    assert process.returncode is not None
    return Ended(process.returncode, text)


async def start(
    *argv: str,
    package: str,
    secret: str = "",
    stdin: int,
    environment: dict[str, str] | None = None,
) -> Process:
    """Begin it, with `secret` as in `run`; the caller ends it. Raises PowerError."""
    number = os.memfd_create("secret", os.MFD_CLOEXEC)
    try:
        os.write(number, secret.encode())
        os.lseek(number, 0, os.SEEK_SET)
        words = [word.replace(SECRET_FILE, f"/dev/fd/{number}") for word in argv]
        return await asyncio.create_subprocess_exec(
            *words,
            stdin=stdin,
            stdout=PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=[number],
            env={"PATH": PATH, "LC_ALL": "C", **(environment or {})},
        )
    except FileNotFoundError as error:
        missing = f"{argv[0]} is not installed on the server: apt-get install {package}"
        raise PowerError(missing, permanent=True) from error
    finally:
        os.close(number)
