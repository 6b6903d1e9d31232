"""The initrd's own script, run as it is on this kernel: in a root and a network of its own."""

import shutil
import subprocess
from pathlib import Path

from muster.images import initrd

FILES = Path(initrd.__file__).parent / "files/initrd"
# veth has no device behind it; there is no squashfs in these tests.
_OTHERWISE = """
nics() { for nic in /sys/class/net/eth*; do echo "${nic##*/}"; done; }
wait_for_nic() { [ -n "$(boot_nics)" ]; }
mount_root() { return 0; }
mount_small_root() { return 0; }
mount_drivers() { return 0; }
"""


class Initrd:
    """Runs a part of /init; `console` is what it said there."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        for name in ("bin", "proc", "sys", "dev", "image", "run/muster", "etc"):
            (folder / name).mkdir(parents=True)
        shutil.copy(shutil.which("busybox") or "busybox", folder / "bin/busybox")
        shutil.copytree(FILES / "bin", folder / "bin", dirs_exist_ok=True)
        # A file that is no device would keep its last line only.
        script = (FILES / "init").read_text().replace("> /dev/kmsg", ">> /dev/kmsg")
        assert script.rstrip().endswith("\nmain")
        (folder / "init").write_text(script.rstrip().removesuffix("main") + _OTHERWISE)
        (folder / "dev/kmsg").touch()
        (folder / "dev/null").touch()

    @property
    def console(self) -> str:
        return (self.root / "dev/kmsg").read_text()

    def start(
        self, what: str, *, inside: tuple[str, ...] = (), **words: str
    ) -> subprocess.Popen[bytes]:
        """`what` is the script's own language; `words` are its variables; `inside`: a namespace."""
        told = "\n".join(f"{name}='{value}'" for name, value in words.items())
        (self.root / "try").write_text(
            f". /init\n{told}\nmkfifo $RUN/reports\nexec 3<> $RUN/reports 4<> $RUN/reports\n"
            f'[ -z "$REPORT" ] || {{ send_reports & REPORTER=$!; }}\n{what}\nfinish_reports\n'
        )
        mounts = (
            "mount -t proc proc proc && mount -t sysfs sys sys && mount --bind /dev/null dev/null"
            " && chroot . /bin/busybox --install -s /bin && exec chroot . /bin/sh /try"
        )
        alone = [*inside, "unshare", "--mount", "sh", "-c", mounts]
        return subprocess.Popen(alone, cwd=self.root)

    def run(self, what: str, *, limit_s: float = 60, **more: object) -> None:
        child = self.start(what, **more)  # type: ignore[arg-type]
        try:
            assert child.wait(limit_s) == 0, self.console
        finally:
            child.kill()
            child.wait()

    @property
    def fetched(self) -> bytes:
        return (self.root / "image/root").read_bytes()
