# SPDX-License-Identifier: Apache-2.0
"""What a script needs beyond the image, as commands that run before it under its own limits."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from muster.wire.hello import Packages, Snap

_FETCH_LIMIT = 2 * 1024 * 1024 * 1024
"""Bytes of one fetched file; the machine keeps it in memory."""


@dataclass(frozen=True)
class Command:
    """One step; `what` is said when it fails."""

    words: list[str]
    what: str


class Unfit(Exception):
    """This ephemeral OS cannot give what the script asks for; the message says why."""


def commands(packages: Packages, home: Path) -> list[Command]:
    """The steps, none when all is there already; raises Unfit."""
    return [*_apt(packages.apt), *_snaps(packages.snap), *_files(packages.url, home)]


def _apt(names: list[str]) -> list[Command]:
    missing = [name for name in names if not _installed(name)]
    if not missing:
        return []
    told = ", ".join(missing)
    if not shutil.which("apt-get"):
        raise Unfit(f"needs the Debian package {told}, and this ephemeral OS has no apt")
    install = "apt-get -qy --no-install-recommends -o DPkg::Lock::Timeout=300 install"
    what = f"the package {told} is not in the image and could not be installed"
    return [
        Command(["apt-get", "-qy", "update"], what),
        Command([*install.split(), *missing], what),
    ]


def _installed(name: str) -> bool:
    """A version or architecture that is asked for (NAME=VERSION) is for apt to judge."""
    if not shutil.which("dpkg-query"):
        return False
    asked = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}", name]
    answer = subprocess.run(asked, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    return answer.returncode == 0 and answer.stdout == b"installed"


def _snaps(snaps: list[Snap]) -> list[Command]:
    if snaps and not shutil.which("snap"):
        told = ", ".join(snap.name for snap in snaps)
        raise Unfit(f"needs the snap {told}, and this ephemeral OS has no snapd")
    return [
        Command(
            ["snap", "install", snap.name]
            + ([f"--channel={snap.channel}"] if snap.channel else [])
            + ([f"--{snap.mode}mode" if snap.mode != "classic" else "--classic"] if snap.mode
               else []),
            f"the snap {snap.name} could not be installed",
        )
        for snap in snaps
    ]  # fmt: skip


def _files(urls: list[str], home: Path) -> list[Command]:
    steps: list[Command] = []
    for url in urls:
        # The name decides what is done with the file, and must stay inside the folder.
        name = Path(unquote(urlsplit(url).path)).name or "download"
        file = home / name
        fetch = f"curl --fail --silent --show-error --location --max-filesize {_FETCH_LIMIT}"
        steps.append(Command([*fetch.split(), "--output", str(file), url],
                             f"{url} could not be fetched"))  # fmt: skip
        steps += _unpack(file, home)
    return steps


def _unpack(file: Path, home: Path) -> list[Command]:
    what = f"{file.name} could not be unpacked or installed"
    if file.suffix == ".deb":
        install = "apt-get -qy --no-install-recommends -o DPkg::Lock::Timeout=300 install"
        return [Command([*install.split(), str(file)], what)]
    if file.suffix == ".zip":
        return [Command(["python3", "-m", "zipfile", "-e", str(file), str(home)], what)]
    if file.suffix == ".snap":
        if not shutil.which("snap"):
            raise Unfit(f"needs {file.name}, and this ephemeral OS has no snapd")
        return [Command(["snap", "install", "--dangerous", str(file)], what)]
    if ".tar" in file.suffixes or file.suffix in (".tgz", ".tbz", ".txz"):
        return [Command(["tar", "-xf", str(file), "-C", str(home)], what)]
    return []
