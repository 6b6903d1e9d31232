"""`muster script try` as a person types it, with a real machine: one boot, and nothing stays."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

SOURCE = """#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: disk-look
# script_type: testing
# hardware_type: storage
# parallel: instance
# parameters:
#   storage: {type: storage, argument_format: "{path}"}
#   depth: {type: runtime, default: 3, argument_format: "--depth={input}"}
# results:
#   size: {title: Size (MiB)}
# timeout: 00:01:00
# --- End MAAS 1.0 script metadata ---
set -e
test -s "$MAAS_RESOURCES_FILE"
echo "$1 $2 as $(id -un)"
echo "results: {size: $(($(blockdev --getsize64 "$1") / 1048576))}" >"$RESULT_PATH"
case $1 in *nvme*) exit 3 ;; esac
"""


def test_a_person_sees_what_the_server_would_say(images: Path, tmp_path: Path) -> None:
    file = tmp_path / "disk-look"
    file.write_text(SOURCE)
    words = ["script", "try", str(file), "--parameter", "depth=7", "--output", "json"]
    # Short: a unix socket comes to lie in it.
    with tempfile.TemporaryDirectory() as folder:
        told = subprocess.run(
            [sys.executable, "-m", "muster", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            env=os.environ | {"MUSTER_IMAGES": str(images), "TMPDIR": folder},
        )
        assert list(Path(folder).iterdir()) == []
    assert told.returncode == 1, told.stderr
    verdict = json.loads(told.stdout)
    assert not verdict["passed"]
    assert verdict["reason"].startswith("disk-look on nvme0n1")
    found = {result["device"].split()[0]: result for result in verdict["results"]}
    assert found["sda"]["state"] == "passed"
    assert found["sda"]["values"] == {"size": {"value": 256, "unit": "MiB"}}
    assert found["sda"]["output"] == "/dev/sda --depth=7 as root\n"
    assert found["nvme0n1"]["reason"] == "exit status 3"
    assert found["nvme0n1"]["result_yaml"] == "results: {size: 256}\n"
    assert "agent    done" in told.stderr
