# SPDX-License-Identifier: Apache-2.0
"""Answers a machine whose kernel came from a medium (`muster image iso`) and not from a loader.

Two lines for bin/medium of the initrd: a verb with seconds, then words. "start 0" and the command
line that a loader would have given, or "wait 30" and why.
"""

import math
import re

from muster.boot.commandline import command_line
from muster.images.errors import LibraryError, ManifestError
from muster.images.library import Library
from muster.lifecycle.enlist import BootPlan
from muster.lifecycle.policy import Policy
from muster.machine.phases import Purpose

STAY_S = 60
"""A machine that shall not start anything asks again so often: each question is an event."""

_UNSAFE = re.compile(r"[^A-Za-z0-9 .,:;'()/_-]+")


def answer(plan: BootPlan, policy: Policy, library: Library, image_id: str) -> str:
    """What the machine does now; `image_id` is the image that its medium was made of."""
    if plan.wait_s:
        return _wait(math.ceil(plan.wait_s), plan.reason)
    if plan.image is None:
        out = "; take the medium out for that" if plan.purpose == Purpose.LOCAL else ""
        return _wait(STAY_S, f"boot {plan.boot}: {plan.purpose}: {plan.reason}{out}")
    try:
        # The kernel runs already: only the root of its own build has its modules.
        image = library.get(image_id)
    except (LibraryError, ManifestError):
        gone = f"the medium is of image {image_id[:12]}, which the server has not: make it anew"
        return _wait(STAY_S, gone)
    return f"start 0\n{command_line(plan, policy, image, nic='')}\n"


def _wait(seconds: int, why: str) -> str:
    return f"wait {seconds}\n{_UNSAFE.sub(' ', why)[:300]}\n"
