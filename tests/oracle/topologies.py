"""Recorded machines of other projects: the /sys and /proc trees in hwloc's and util-linux's tests.

They are fetched as Debian source packages by the machine's own apt, through a private
configuration, into a cache below build/. They are never committed: their licences are theirs.
"""

import os
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

from muster.images import sources

CACHE = Path(__file__).parents[2] / "build" / "topologies"
PACKAGES = {
    "hwloc": ("tests/hwloc/linux/", "tests/hwloc/x86+linux/"),
    "util-linux": ("tests/ts/lscpu/dumps/", "tests/ts/lsblk/dumps/", "tests/ts/lsmem/dumps/"),
}


def fetch(cache: Path = CACHE) -> list[Path]:
    """The archives, one a machine; from the cache if it is whole."""
    done = cache / "done"
    if not done.exists():
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(parents=True)
        _download(cache)
        for package, folders in PACKAGES.items():
            _take(cache, package, folders)
        done.touch()
    return sorted((cache / "machines").glob("*/*.tar.*"))


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack one machine below `folder`; returns its root, the folder that holds sys or proc."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter=_owned)
        paths = [Path(name) for name in tar.getnames()]
    tops = [path for path in paths if path.name in ("sys", "proc")]
    root = folder / min(tops, key=lambda path: len(path.parts)).parent
    for name in ("sys", "proc"):
        (root / name).mkdir(exist_ok=True)
    return root


def _owned(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """As the recording has it, but for what would make it unreadable, and inside the folder."""
    safe = tarfile.tar_filter(member, folder)
    return safe.replace(mode=(safe.mode or 0) | (0o700 if safe.isdir() else 0o600))


def _download(cache: Path) -> None:
    """apt's own lists and cache stay as they are: all state is in the cache folder."""
    _, own = sources.read()
    stanzas = [
        replace(one, components=("main",)).stanza().replace("Types: deb\n", "Types: deb-src\n")
        for one in own
    ]
    (cache / "list.sources").write_text("\n".join(stanzas))
    (cache / "lists" / "partial").mkdir(parents=True)
    options = {
        "Dir::Etc::sourcelist": cache / "list.sources",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": cache / "lists",
        "Dir::Cache": cache / "apt",
        "APT::Sandbox::User": "root",
        "Acquire::Retries": "3",
    }
    lines = [f'{name} "{value}";\n' for name, value in options.items()]
    (cache / "apt.conf").write_text("".join(lines))
    words = {"env": os.environ | {"APT_CONFIG": str(cache / "apt.conf")}, "cwd": cache}
    for command in (["update"], ["source", "--download-only", *PACKAGES]):
        subprocess.run(["apt-get", "-qq", *command], check=True, timeout=300, **words)
    for state in ("lists", "apt"):
        shutil.rmtree(cache / state, ignore_errors=True)


def _take(cache: Path, package: str, folders: tuple[str, ...]) -> None:
    """Keep the archives of machines out of a source package, and not the rest of it."""
    into = cache / "machines" / package
    into.mkdir(parents=True)
    (source,) = cache.glob(f"{package}_*.orig.tar.*[!c]")
    with tarfile.open(source) as tar:
        for member in tar:
            path = member.name.partition("/")[2]
            if member.isfile() and path.startswith(folders) and ".tar." in path:
                member.name = Path(path).name
                tar.extract(member, into, filter="data")
    source.unlink()
