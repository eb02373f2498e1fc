"""Files that appear whole or not at all, and digests of files."""

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from uuid import uuid4

import xxhash

from schemas.errors import CurationError

_TEMPORARY = re.compile(r"^\..+\.(?P<pid>\d+)-[0-9a-f]{8}\.tmp$")


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is flushed to disk and renamed to ``path``.

    On an error the temporary file is removed and ``path`` is as it was. A killed process leaves only a hidden
    ``.<name>.<pid>-<random>.tmp``, which :func:`sweep` removes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}-{uuid4().hex[:8]}.tmp"
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all."""
    with appearing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sweep(directory: Path) -> None:
    """Remove from ``directory`` the temporary files of processes that no longer run."""
    for path in directory.glob(".*.tmp"):
        match = _TEMPORARY.match(path.name)
        if match and not _runs(int(match["pid"])):
            path.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def xxh3_of(path: Path) -> str:
    """Return the XXH3-128 of a file, in hex: an identity at memory speed, no protection against forgery."""
    digest = xxhash.xxh3_128()
    buffer = bytearray(1 << 20)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while read := file.readinto(buffer):
            digest.update(view[:read])
    return digest.hexdigest()


def ensure_writable(directory: Path) -> None:
    """Make ``directory`` if it is missing, and make sure that files can appear in it.

    Raises:
        OSError: if they cannot; the message names the folder and says why.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise type(error)(error.errno, f"cannot write there: {error.strerror}", str(directory)) from error


class DirectoryBusy(CurationError):
    """Another run is writing there."""


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold ``directory`` for the length of a ``with`` block; the lock ends with the process, however it ends.

    Raises:
        DirectoryBusy: if another process holds it.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            told = f"{directory}: another run is writing there; run this again when it has ended"
            raise DirectoryBusy(told) from error
        yield
    finally:
        os.close(descriptor)
