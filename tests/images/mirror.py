"""A simplestreams mirror that a test serves, and the key that it is signed with."""

import hashlib
import http.server
import json
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

from muster.images import streams

PRODUCTS = "streams/v1/com.ubuntu.maas:stable:v3:download.sjson"


class Mirror:
    """A folder by HTTP, with ranges; `cuts` are paths whose next answer ends half way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[str, str]] = []
        self.cuts: list[str] = []
        self.ranges = True
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.answer(self)

            def log_message(self, *_: Any) -> None:
                """The test says what was asked."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        path, wanted = request.path.lstrip("/"), request.headers.get("Range", "")
        self.asked.append((path, wanted))
        file = self.folder / path
        if not file.is_file():
            request.send_error(404)
            return
        content = file.read_bytes()
        found = re.fullmatch(r"bytes=(\d+)-", wanted) if self.ranges else None
        start = int(found[1]) if found else 0
        request.send_response(206 if found else 200)
        if found:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        if path in self.cuts:
            self.cuts.remove(path)
            content = content[: start + (len(content) - start) // 2]
        request.wfile.write(content[start:])

    def publish(self, versions: list[str], *, key: "Key", releases: tuple[str, ...]) -> None:
        """An index and products as Ubuntu's: each release for amd64 and arm64."""
        products = {
            f"com.ubuntu.maas.stable:v3:boot:{release}:{arch}:ga-1": self._product(
                release, arch, versions
            )
            for release in releases
            for arch in ("amd64", "arm64")
        }
        index = {"com.ubuntu.maas:stable:v3:download": {"path": PRODUCTS, "format": "products:1.0"}}
        for path, document in (
            (PRODUCTS, {"format": "products:1.0", "products": products}),
            (streams.INDEX, {"format": "index:1.0", "index": index}),
        ):
            self.put(path, key.sign(json.dumps(document).encode()))

    def _product(self, release: str, arch: str, versions: list[str]) -> dict[str, Any]:
        told = {}
        for version in versions:
            items = {}
            for name in ("boot-kernel", "boot-initrd", "squashfs"):
                path = f"{release}/{arch}/{version}/{name}"
                content = f"{path}\n".encode() * 5000
                self.put(path, content)
                digest = hashlib.sha256(content).hexdigest()
                items[name] = {
                    "ftype": name,
                    "path": path,
                    "size": len(content),
                    "sha256": digest,
                }
            told[version] = {"items": items}
        # A version from before there was a squashfs.
        told["20160101"] = {"items": {"root-image.gz": {"ftype": "root-image.gz"}}}
        return {
            "arch": arch,
            "release": release,
            "subarch": "ga-1",
            "kflavor": "generic",
            "versions": told,
        }

    def put(self, path: str, content: bytes) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


class Key:
    """An OpenPGP key of the test's own."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        self.home = home
        self.keyring = home / "public.gpg"
        self._gpg("--passphrase", "", "--quick-gen-key", "a mirror <m@example>", "ed25519", "sign")
        self.keyring.write_bytes(self._gpg("--export"))

    def sign(self, text: bytes) -> bytes:
        return self._gpg("--clearsign", stdin=text)

    def _gpg(self, *words: str, stdin: bytes = b"") -> bytes:
        gpg = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--pinentry-mode"]
        done = subprocess.run([*gpg, "loopback", *words], input=stdin, capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def close(self) -> None:
        words = ["gpgconf", "--homedir", str(self.home), "--kill", "gpg-agent"]
        subprocess.run(words, check=True)
