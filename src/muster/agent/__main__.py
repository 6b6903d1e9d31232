# SPDX-License-Identifier: Apache-2.0
"""`python3 -I agent.pyz run`: reads its configuration and works until the run is over.

The configuration is one JSON file (written by the seed): {"server": URL, "nonce": TEXT}, from the
initrd also {"level": TEXT} (stage.py). All state is in memory files beside it, so a restarted agent
goes on where it was.
"""

import importlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import ModuleType

from muster.agent.greeting import Greeting, say
from muster.agent.stage import Stage

FOLDER = Path("/run/muster")
PRIORITY = -10
"""nice(2); scripts run at 0."""


def main(argv: list[str]) -> int:
    """Run the session in the folder named by argv[0]; 0 when the server has every event."""
    folder = Path(argv[0]) if argv else FOLDER
    try:
        config = json.loads((folder / "agent.json").read_text())
        server, nonce = str(config["server"]), str(config["nonce"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        say(f"cannot start: {folder}/agent.json: {error!r}")
        return 2
    threading.excepthook = _end
    _prefer()
    stage = Stage(folder, str(config.get("level", "system")))
    after = _work(Greeting(folder, server, nonce, stage))
    say(f"finished: {after}")
    stage.leave(after)
    if stage.alone and after == "poweroff" and config.get("power", True):
        _behind().power_off()
    return 0


def _work(greeting: Greeting) -> str:
    """Returns what the machine does next, as `Session.work`."""
    welcome = greeting.until_decided()
    if welcome.decision != "run":
        say(f"the server refuses this machine: {welcome.reason}")
        return "poweroff"
    session = _behind().Session(greeting, welcome)
    signal.signal(signal.SIGTERM, lambda *_: session.stop())
    return str(session.work())


def _behind() -> ModuleType:
    """What is loaded behind the hello only (greeting.py)."""
    return importlib.import_module("muster.agent.session")


def _prefer() -> None:
    """Scripts may keep all processors busy; heartbeats, output, an abort must still get through."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    except OSError:
        return


def _end(failed: threading.ExceptHookArgs) -> None:
    """Without its sender an agent would wait for ever; the unit starts it again."""
    say(f"a thread failed: {failed.exc_value!r}")
    threading.__excepthook__(failed)
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
