"""Building for another architecture, by an interpreter that only the build has."""

import subprocess
from pathlib import Path

import pytest
from tests.server.segments import needs_root

from muster.images import emulation
from muster.images.errors import BuildError


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """An amd64 machine that runs no programs of arm64."""
    monkeypatch.setattr(emulation, "own_arch", lambda: "amd64")
    monkeypatch.setattr(emulation, "_runs_here", lambda _arch: False)


@pytest.mark.usefixtures("elsewhere")
def test_the_own_architecture_needs_no_interpreter() -> None:
    program, mode = emulation.mmdebstrap("amd64")
    assert (program, mode.startswith("--mode=")) == ("mmdebstrap", True)


@pytest.mark.usefixtures("elsewhere")
def test_without_qemu_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation.shutil, "which", lambda _name: None)
    with pytest.raises(BuildError, match="apt-get install qemu-user-static"):
        emulation.mmdebstrap("arm64")


@needs_root
@pytest.mark.usefixtures("elsewhere")
def test_the_interpreter_is_the_namespace_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hook, in a namespace: a program's head with arm64's number is handed to it there."""
    witness, program = tmp_path / "witness", tmp_path / "program"
    witness.write_text("#!/bin/sh\necho emulated\n")
    witness.chmod(0o755)
    program.write_bytes(emulation._head("arm64") + bytes(44))
    program.chmod(0o755)
    monkeypatch.setattr(emulation.shutil, "which", lambda _name: str(witness))
    first, *_, hook = emulation.mmdebstrap("arm64")
    # root's own namespace is the machine's.
    assert first == "unshare"
    command = hook.removeprefix("--setup-hook=")
    told = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f"{command}; {program}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "emulated" in told.stdout or "register qemu-user-static" in told.stderr, told
    assert not Path("/proc/sys/fs/binfmt_misc/muster-arm64").exists()
