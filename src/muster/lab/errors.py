# SPDX-License-Identifier: Apache-2.0
"""What can go wrong in the lab. Each message says what, where, and the remedy.

LabError
├── CannotStart      the host lacks a tool, a permission or a free port
├── AlreadyUp        a lab of this name runs, or starts, or ends
├── NotUp            no lab of this name runs
├── BadOrder         a machine description that cannot be built
├── NoSuchMachine    no machine of this name in the lab
├── Conflict         the wish does not fit the present state
├── Refused          (simulate.py) a server does not take a simulated machine
├── PowerFailed      QEMU would not start, answer or stop
└── TimedOut         an awaited event did not come within its limit
"""


class LabError(Exception):
    """Base of everything that the lab refuses or fails to do."""


class CannotStart(LabError):
    pass


class AlreadyUp(LabError):
    pass


class NotUp(LabError):
    pass


class BadOrder(LabError):
    pass


class NoSuchMachine(LabError):
    pass


class Conflict(LabError):
    pass


class PowerFailed(LabError):
    pass


class TimedOut(LabError):
    pass
