# SPDX-License-Identifier: Apache-2.0
"""`python3 -I agent.pyz run`: reads its configuration and works until the run is over.

The configuration is one JSON file (written by the seed): {"server": URL, "nonce": TEXT}, from the
initrd also {"level": TEXT} (stage.py). All state is in memory files beside it, so a restarted agent
goes on where it was.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path

from muster.agent.session import Session, say
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
    # Scripts may keep all processors busy; heartbeats, output and an abort must still get through.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    stage = Stage(folder, str(config.get("level", "system")))
    session = Session(folder, server, nonce, stage=stage)
    signal.signal(signal.SIGTERM, lambda *_: session.stop())
    after = session.work()
    say(f"finished: {after}")
    stage.leave(after)
    if stage.alone and after == "poweroff" and config.get("power", True):
        # Not waited for: the unit that runs this is among those that end.
        subprocess.run(["systemctl", "poweroff", "--no-block"], check=False, timeout=30)
    return 0


def _end(failed: threading.ExceptHookArgs) -> None:
    """Without its sender an agent would wait for ever; the unit starts it again."""
    say(f"a thread failed: {failed.exc_value!r}")
    traceback.print_tb(failed.exc_traceback)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
