# SPDX-License-Identifier: Apache-2.0
"""Run a command with one listening socket as file descriptor 3, as systemd would.

sd_listen_fds(3) wants LISTEN_PID to be the pid of the command itself, which only the
process that becomes the command can know. Started as a plain file: stdlib only.

    python3 activation.py FD COMMAND [ARGUMENT...]
"""

import os
import sys

FIRST = 3  # SD_LISTEN_FDS_START


def main(arguments: list[str]) -> None:
    fd, command = int(arguments[0]), arguments[1:]
    if fd != FIRST:
        os.dup2(fd, FIRST)
        os.close(fd)
    environ = {**os.environ, "LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    os.execvpe(command[0], command, environ)


def wrapped(fd: int, command: list[str]) -> list[str]:
    """The command line that starts `command` with `fd` handed over."""
    return [sys.executable, "-I", "-S", __file__, str(fd), *command]


if __name__ == "__main__":
    main(sys.argv[1:])
