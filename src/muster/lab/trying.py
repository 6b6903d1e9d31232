# SPDX-License-Identifier: Apache-2.0
"""`muster script try FILE`: what the server would say of a script, before any machine runs it."""

import json
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from muster.cli.tests import parameters
from muster.cli.words import plain
from muster.images.commands import IMAGES
from muster.images.errors import ImageError
from muster.lab import trial
from muster.lab.errors import LabError
from muster.lab.machines import Firmware
from muster.lab.trial import Ears, Tried, Verdict, Wish
from muster.lifecycle.scripts import BadScript
from muster.machine.states import Refused
from muster.store.engine import StoreError

NOT_TRIED = 2


def try_script(
    file: Path,
    /,
    *,
    parameter: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    firmware: Literal["bios", "uefi"] = "bios",
    memory: int = 2048,
    images: Path = IMAGES,
    output: Literal["text", "json"] = "text",
) -> int:
    """Run a script in a virtual machine of its own and show the result as the server judges it.

    Exit status 0 when it passed, 1 when it did not, 2 when it could not be tried.

    Parameters
    ----------
    file
        The script; nothing of it is kept
    parameter
        NAME=VALUE
    firmware
        How the machine starts
    memory
        Its memory in MiB; it has two NICs, an NVMe and a SATA disk
    images
        Folder of images (MUSTER_IMAGES; else images in MUSTER_DATA)
    output
        text with the script's output as it comes, or json at the end
    """
    signal.signal(signal.SIGTERM, _interrupt)
    given = parameters(parameter or [])
    try:
        wish = Wish(file.read_bytes(), file.name, images, given, Firmware(firmware), memory)
        verdict = trial.run(wish, _ears(quiet=output == "json"))
    except BadScript as error:
        for problem in error.problems:
            _say(f"{file}:{problem.line}: {problem.field}: {problem.reason}")
        return NOT_TRIED
    except (OSError, ImageError, LabError, StoreError, Refused) as error:
        _say(f"muster script try: {error}")
        return NOT_TRIED
    except KeyboardInterrupt:
        return 130
    if output == "json":
        print(json.dumps(asdict(verdict), indent=2))
    else:
        _show(verdict)
    return 0 if verdict.passed else 1


def _interrupt(*_: object) -> None:
    """SIGTERM ends it as Ctrl-C does: the lab is taken down."""
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(plain(text), file=sys.stderr)


def _ears(*, quiet: bool) -> Ears:
    return Ears(phase=_say) if quiet else Ears(phase=_say, output=Printer().hear)


@dataclass
class Printer:
    """Shows what a script prints as it comes; the terminal obeys none of it."""

    device: str = ""

    def hear(self, device: str, data: bytes) -> None:
        """Several devices are told apart by headings."""
        if device != self.device:
            print(plain(f"== {device}"))
            self.device = device
        for line in data.decode(errors="replace").splitlines(keepends=True):
            print(plain(line.rstrip("\n")), end="\n" if line.endswith("\n") else "")
        sys.stdout.flush()


def _show(verdict: Verdict) -> None:
    if not verdict.results:
        print(plain(f"it did not run: {_why_not(verdict)}"))
    for result in verdict.results:
        print()
        print("\n".join(map(plain, _lines(result))))
    if verdict.results and not verdict.passed:
        print(plain(f"a run with it fails: {verdict.reason}"))


def _why_not(verdict: Verdict) -> str:
    if verdict.reason == "every script passed":
        return "the lab's machine has none of the hardware that it is for"
    return verdict.reason


def _lines(result: Tried) -> list[str]:
    where = f" on {result.device}" if result.device else ""
    took = "" if result.runtime_s is None else f" after {result.runtime_s:.1f} s"
    lines = [f"{result.name}{where}: {result.state.replace('_', ' ')}{took}"]
    if result.exit_status is not None:
        lines.append(f"  exit status  {result.exit_status}")
    if result.reason:
        lines.append(f"  reason       {result.reason}")
    for name, told in result.values.items():
        lines.append(f"  {name:<12} {told['value']} {told['unit']}".rstrip())
    if result.result_yaml:
        lines.append("  $RESULT_PATH")
        lines += [f"    {line}" for line in result.result_yaml.splitlines()]
    return lines
