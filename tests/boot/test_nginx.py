"""nginx's lines, checked by nginx itself and by fetching as a loader does."""

import http.client
import socket
import subprocess
from pathlib import Path

import pytest
from tests.boot.test_discover import program
from tests.server.running import wait_for
from tests.server.shelf import stocked

from muster.__main__ import app
from muster.boot.nginx import CannotServe, snippet


def configured(folder: Path, lines: str) -> list[str]:
    """nginx's command line for these lines and nothing of this machine's own."""
    folder.mkdir(exist_ok=True)
    paths = " ".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "conf").write_text(
        f"user root; daemon off; pid {folder}/pid; error_log {folder}/errors;\n"
        f"events {{}}\nhttp {{ {paths}\n{lines}\n}}\n"
    )
    return [program("nginx"), "-p", str(folder), "-e", f"{folder}/errors", "-c", f"{folder}/conf"]


def test_nginx_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    words = configured(tmp_path / "n", snippet(tmp_path / "images", "http://10.0.0.5:8090"))
    done = subprocess.run([*words, "-t"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_it_serves_what_the_boot_answer_names_in_parts_and_nothing_else(tmp_path: Path) -> None:
    library = stocked(tmp_path)
    entry = library.in_use().files["squashfs"]
    content = library.blob(entry.sha256).read_bytes()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = snippet(library.root, f"http://127.0.0.1:{port}")
    child = subprocess.Popen(configured(tmp_path / "n", lines))

    def get(path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        link.request(method, path, headers=headers)
        return link.getresponse()

    def up() -> bool:
        with socket.socket() as link:
            return link.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(up)
        file = f"/boot/files/{entry.sha256}/squashfs"
        whole = get(f"{file}?boot=abc")
        assert (whole.status, whole.read()) == (200, content)
        assert "immutable" in (whole.headers["Cache-Control"] or "")
        part = get(file, Range="bytes=10-19")
        assert (part.status, part.read()) == (206, content[10:20])
        assert get(file, **{"If-None-Match": whole.headers["ETag"]}).status == 304
        assert get(file, "HEAD").headers["Content-Length"] == str(len(content))
        assert get(file, "PUT").status == 403
        for path in (
            f"/boot/files/{'0' * 64}/kernel",
            f"/boot/files/{entry.sha256}/../../current",
            f"/boot/files/{entry.sha256}",
            "/boot/files/current/x",
            "/images/",
            "/api/v1/machines",
        ):
            assert get(path).status == 404, path
    finally:
        child.terminate()
        child.wait(10)


@pytest.mark.parametrize(
    ("images", "url", "told"),
    [
        ("/srv/images", "https://files.example", "plain HTTP"),
        ("/srv/images", "files.example", "plain HTTP"),
        ("/srv/images", "http://files.example/below", "plain HTTP"),
        ("/srv/images", "http://files.example:99999", "files_url"),
        ("/srv/my images", "http://files.example", "without spaces"),
        ("/srv/x;y", "http://files.example", "without spaces"),
    ],
)
def test_what_nginx_cannot_be_told_is_refused(images: str, url: str, told: str) -> None:
    with pytest.raises(CannotServe, match=told):
        snippet(Path(images), url)


def test_the_command_prints_it_or_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MUSTER_IMAGES", raising=False)
    words = ["nginx", "snippet", "--data", str(tmp_path)]
    with pytest.raises(SystemExit) as ended:
        app([*words, "--files-url", "http://10.0.0.5:8090"])
    assert ended.value.code in (0, None)
    assert f"alias {tmp_path}/images/blobs/sha256/$blob;" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        app(words)
    assert ended.value.code == 1
    assert "--files-url" in capsys.readouterr().err
