# SPDX-License-Identifier: Apache-2.0
"""`muster inventory`: capture this machine as an archive, read an archive as a document."""

import json
import os
import sys
import tempfile
from pathlib import Path

from muster.collect.archive import ARCHIVE_LIMIT, BadArchive, unpack
from muster.collect.capture import capture as survey
from muster.collect.document import document


def capture(*, output: Path = Path("muster-capture.tar.gz"), redact: bool = False) -> int:
    """Write what muster reads of this machine's hardware into an archive, for others to look at.

    Parameters
    ----------
    output
        The archive, a tar.gz; must not be there yet.
    redact
        Replace serial numbers, MAC and IP addresses, UUIDs and the host's name by invented ones.
    """
    data = survey("/", redact=redact)
    try:
        with open(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        print(f"muster inventory: {output}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{output}: {len(data)} bytes")
    if os.geteuid() != 0:
        print("Not everything could be read: as root the archive holds more.", file=sys.stderr)
    if not redact:
        print("It names serial numbers and addresses; --redact invents others.", file=sys.stderr)
    return 0


def read(archive: Path) -> int:
    """Print the resources document of a captured machine, as muster reads it today."""
    try:
        with archive.open("rb") as file:
            data = file.read(ARCHIVE_LIMIT + 1)
        with tempfile.TemporaryDirectory(prefix="muster-") as folder:
            found = document(unpack(data, Path(folder)))
    except OSError as error:
        print(f"muster inventory: {archive}: {error.strerror}", file=sys.stderr)
        return 1
    except BadArchive as error:
        print(f"muster inventory: {archive}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=2))
    return 0
