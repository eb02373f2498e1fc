"""Files, local or on an object store: that appear whole or not at all, Parquet and digests."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from upath import UPath

_TEMPORARY = re.compile(r"^\..+\.(?P<pid>\d+)-[0-9a-f]{8}\.tmp$")


def is_local(path: UPath) -> bool:
    """Return whether ``path`` is on this machine's file systems."""
    return isinstance(path, Path)


def read_parquet(path: UPath, columns: Sequence[str] | None = None, *, threads: bool = True) -> pa.Table:
    """Return the Parquet file ``path``, or some ``columns`` of it; a local one is mapped into memory.

    ``threads`` of Arrow's own read columns side by side: of use where one large file is read, and no others beside it.
    """
    if is_local(path):
        # pq.read_table, which looks for a data set there, takes three times as long on small files.
        with pq.ParquetFile(str(path), memory_map=True) as file:
            return file.read(columns=None if columns is None else list(columns), use_threads=threads)
    with path.open("rb") as file:
        return pq.read_table(file, columns=None if columns is None else list(columns), use_threads=threads)


def read_parquet_metadata(path: UPath) -> pq.FileMetaData:
    """Return the footer of the Parquet file ``path``."""
    with path.open("rb") as file:
        return pq.read_metadata(file)


def parquet_rows(path: UPath | None) -> int:
    """Return how many rows a Parquet file has; no file has none."""
    return 0 if path is None else int(read_parquet_metadata(path).num_rows)


def is_parquet(path: UPath) -> bool:
    """Return whether ``path`` is there and has the footer of a Parquet file: one that is damaged is made again."""
    try:
        read_parquet_metadata(path)
    except (OSError, pa.ArrowInvalid):  # thrift that makes no sense is an OSError to pyarrow
        return False
    return True


@contextmanager
def appearing(path: UPath) -> Iterator[Path]:
    """Yield a local temporary path; on success it is flushed to disk and renamed, or uploaded, to ``path``.

    On an error the temporary file is removed and ``path`` is as it was. A killed process leaves only a hidden
    ``.<name>.<pid>-<random>.tmp`` beside a local ``path``, which :func:`sweep` removes. An object store shows an
    object when its upload is complete, and not before.
    """
    if not is_local(path):
        with TemporaryDirectory(prefix="git10m-") as folder:
            temporary = Path(folder) / path.name
            yield temporary
            path.fs.makedirs(path.parent.path, exist_ok=True)
            path.fs.put_file(str(temporary), path.path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(str(path.parent)) / f".{path.name}.{os.getpid()}-{uuid4().hex[:8]}.tmp"
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(str(path))
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def write_text(path: UPath, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: UPath, data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all."""
    with appearing(path) as temporary:
        temporary.write_bytes(data)


def sweep(directory: UPath) -> None:
    """Remove from ``directory``, where it is local, the temporary files of processes that no longer run."""
    if not is_local(directory):
        return
    for path in directory.glob(".*.tmp"):
        match = _TEMPORARY.match(path.name)
        if match and not _runs(int(match["pid"])):
            path.unlink(missing_ok=True)


def remove(folder: UPath) -> None:
    """Remove ``folder`` with all that is in it; what cannot go may stay."""
    if is_local(folder):
        shutil.rmtree(str(folder), ignore_errors=True)
        return
    with suppress(OSError):
        folder.fs.rm(folder.path, recursive=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sha256_of(path: UPath | Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(cast("BytesIO", file), "sha256").hexdigest()


def xxh3_of(path: Path) -> str:
    """Return the XXH3-128 of a file, in hex: an identity at memory speed, no protection against forgery."""
    digest = xxhash.xxh3_128()
    buffer = bytearray(1 << 20)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while read := file.readinto(buffer):
            digest.update(view[:read])
    return digest.hexdigest()


def ensure_writable(directory: UPath) -> None:
    """Make ``directory`` if it is missing, and make sure that files can appear in it.

    Raises:
        OSError: if they cannot; the message names the folder and says why.
    """
    probe = directory / f".probe.{os.getpid()}-{uuid4().hex[:8]}.tmp"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        told = error.strerror or str(error)
        raise type(error)(error.errno, f"cannot write there: {told}", str(directory)) from error
