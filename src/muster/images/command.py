"""Run one tool of the build: its words as progress, its last words as the reason when it fails."""

import os
import shlex
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from muster.images.errors import BuildError

TAIL_LINES: Final = 20


def need(*tools: str) -> None:
    """Refuse to start when tools are missing, naming them all at once."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise BuildError(
            "tools",
            f"not installed: {', '.join(missing)}; "
            "apt-get install mmdebstrap squashfs-tools uidmap",
        )


def run(
    step: str,
    argv: Sequence[str],
    *,
    heard: Callable[[str], None] = lambda line: None,
    stdin: Path | None = None,
    environment: dict[str, str] | None = None,
) -> None:
    """Run a tool to its end; BuildError carries the step, the exit code and the last lines."""
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with (
        open(stdin or os.devnull, "rb") as source,
        subprocess.Popen(
            argv,
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"LC_ALL": "C.UTF-8"} | (environment or {}),
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip():
                tail.append(line.rstrip())
                heard(line.rstrip())
    if process.returncode != 0:
        raise BuildError(
            step, f"exit code {process.returncode} of {shlex.join(argv)[:120]}", list(tail)
        )
