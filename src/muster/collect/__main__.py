# SPDX-License-Identifier: Apache-2.0
"""`python3 -m muster.collect [--root DIR]`: print the resources document of this machine."""

import json
import os
import sys

from muster.collect.document import document

USAGE = "usage: python3 -m muster.collect [--root DIR]"


def main(argv: list[str]) -> int:
    """Print the document as one line of JSON; 2 if `argv` makes no sense, else 0."""
    root = _root(argv)
    if root is None or not os.path.isdir(root):
        reason = USAGE if root is None else f"--root {root}: no such folder"
        print(f"collect: {reason}", file=sys.stderr)
        return 2
    print(json.dumps(document(root)))
    return 0


def _root(argv: list[str]) -> str | None:
    """Read by hand: argparse costs as much start-up as the whole survey of a small machine."""
    if not argv:
        return "/"
    if len(argv) == 2 and argv[0] == "--root":
        return argv[1]
    if len(argv) == 1 and argv[0].startswith("--root="):
        return argv[0].removeprefix("--root=")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
