# SPDX-License-Identifier: Apache-2.0
"""Fetches files of an image over HTTP: goes on where it stopped, keeps only what hashes right."""

import errno
import fcntl
import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from muster.images.errors import FetchError
from muster.images.manifest import FileEntry

_CHUNK = 1 << 20
_TRIES = 5
_WAIT_S = 60.0
_PAUSE_S = 1.0
_DOCUMENT_LIMIT = 64 * _CHUNK
_LOST = (http.client.HTTPException, ConnectionError, TimeoutError, urllib.error.URLError)

Progress = Callable[[str], None]


def document(url: str) -> bytes:
    """A small file in memory; FetchError says which and why not."""
    try:
        with urllib.request.urlopen(_request(url), timeout=_WAIT_S) as answer:
            text: bytes = answer.read(_DOCUMENT_LIMIT + 1)
    except (OSError, http.client.HTTPException) as problem:
        raise FetchError(f"{url}: {_why(problem)}") from problem
    if len(text) > _DOCUMENT_LIMIT:
        raise FetchError(f"{url}: larger than {_DOCUMENT_LIMIT >> 20} MiB: this is no index")
    return text


def fetch(url: str, entry: FileEntry, folder: Path, progress: Progress) -> Path:
    """The file, whole and of the right hash; a part from an earlier try is gone on with.

    The part stays in `folder` when the network fails, and goes when the bytes are wrong.
    """
    with _room(folder, entry):
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / entry.sha256
        with target.open("ab") as part, _alone(part, url):
            _persist(url, entry, part, progress)
        _verify(target, url, entry)
        return target


def _persist(url: str, entry: FileEntry, part: BinaryIO, progress: Progress) -> None:
    """Until all is there; tries that bring nothing are counted, a slow line's are not."""
    failures = 0
    while (had := part.tell()) < entry.size:
        try:
            _continue(url, entry, part, progress)
        except _LOST as problem:
            failures = 0 if part.tell() > had else failures + 1
            if failures == _TRIES or _final(problem):
                raise FetchError(
                    f"{url}: {_why(problem)}; {part.tell()} of {entry.size} bytes are kept:"
                    " the same command goes on from there"
                ) from problem
            time.sleep(_PAUSE_S)


def _continue(url: str, entry: FileEntry, part: BinaryIO, progress: Progress) -> None:
    request = _request(url)
    if part.tell():
        request.add_header("Range", f"bytes={part.tell()}-")
    with urllib.request.urlopen(request, timeout=_WAIT_S) as answer:
        if answer.status != 206:
            part.truncate(0)
            part.seek(0)
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {part.tell()}-"):
            raise http.client.HTTPException("the server sent another part than it was asked for")
        for chunk in _chunks(answer):
            part.write(chunk)
            if part.tell() > entry.size:
                return
            done = part.tell() * 100 // entry.size
            progress(f"fetching {url.rpartition('/')[2]}: {done} % of {entry.size >> 20} MiB")
    if part.tell() < entry.size:
        raise ConnectionError("the connection ended early")


def _chunks(answer: BinaryIO) -> Iterator[bytes]:
    while chunk := answer.read(_CHUNK):
        yield chunk


def _verify(target: Path, url: str, entry: FileEntry) -> None:
    with target.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found == entry.sha256 and target.stat().st_size == entry.size:
        return
    size = target.stat().st_size
    target.unlink()
    raise FetchError(
        f"{url}: has SHA-256 {found[:16]}... and {size} bytes, its index says"
        f" {entry.sha256[:16]}... and {entry.size}: damaged on the way or at the server; not kept"
    )


@contextmanager
def _room(folder: Path, entry: FileEntry) -> Iterator[None]:
    """Say where there is no room, before and when it happens."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    part = folder / entry.sha256
    # Once to fetch, once to take into the library.
    wanted = 2 * entry.size - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(there).free
    full = f"{there} is full: {wanted >> 20} MiB are needed, {free >> 20} MiB are free"
    if free < wanted:
        raise FetchError(f"{full}; make room, or remove images ('muster image remove')")
    try:
        yield
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise FetchError(f"{folder}: {problem.strerror or problem}") from problem
        raise FetchError(f"{full}; what was fetched is kept: make room and go on") from problem


@contextmanager
def _alone(part: BinaryIO, url: str) -> Iterator[None]:
    try:
        fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as problem:
        raise FetchError(f"{url}: another import fetches this file now") from problem
    part.seek(0, os.SEEK_END)
    yield


def _request(url: str) -> urllib.request.Request:
    if not url.startswith(("http://", "https://")):
        raise FetchError(f"{url}: only http:// and https:// are fetched")
    return urllib.request.Request(url, headers={"User-Agent": "muster"})


def _final(problem: Exception) -> bool:
    """An answer of the server that another try will not change."""
    return isinstance(problem, urllib.error.HTTPError) and problem.code < 500


def _why(problem: Exception) -> str:
    if isinstance(problem, urllib.error.HTTPError):
        return f"HTTP {problem.code} {problem.reason}"
    if isinstance(problem, urllib.error.URLError):
        return str(problem.reason)
    return str(problem) or type(problem).__name__
