"""The vectors of a shard that are made so far: a file that outlives a kill, and that the next run goes on with."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import xxhash
from upath import UPath

from tasks.files import is_local, is_parquet

_HEAD = struct.Struct("<Q16s")  # before all that is laid down: its length [bytes], and its XXH3-128


class Part:
    """Batches of a vectors file, in the order of their rows; what is laid down is whole, or is not seen again."""

    def __init__(self, path: Path, schema: pa.Schema, made_by: bytes):
        """Go on with the file at ``path``; begin it anew if it was not begun by the same ``made_by``, or is damaged.

        Args:
            path: no other process is at it.
            schema: of the batches.
            made_by: all that their numbers depend on, but for the shard's content, which the name stands for.
        """
        self._path, self._schema = path, schema
        self.rows = 0
        """Rows that are laid down."""
        end = 0
        for laid, at in self._laid():
            if end == 0 and laid != made_by:
                break
            if end > 0:
                self.rows += self._batch(laid).num_rows
            end = at
        if path.exists():
            with path.open("r+b") as file:
                file.truncate(end)
        if end == 0:
            self._lay(made_by)

    def append(self, batch: pa.RecordBatch) -> None:
        """Lay down the rows that come next."""
        self._lay(batch.serialize())
        self.rows += batch.num_rows

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all batches, of whatever run, as they were laid down; one is in memory at a time."""
        laid = self._laid()
        next(laid)
        for data, _ in laid:
            yield self._batch(data)

    def _batch(self, data: bytes) -> pa.RecordBatch:
        return pa.ipc.read_record_batch(pa.py_buffer(data), self._schema)

    def _lay(self, data: bytes | pa.Buffer) -> None:
        try:
            with self._path.open("ab") as file:
                file.write(_HEAD.pack(len(data), xxhash.xxh3_128_digest(data)))
                file.write(data)
        except OSError as error:  # of a disk that is full, without the file's name
            raise OSError(error.errno, error.strerror, str(self._path)) from error

    def _laid(self) -> Iterator[tuple[bytes, int]]:
        """Yield what was laid down, as far as it is whole, and where in the file each ends."""
        if not self._path.exists():
            return
        left = self._path.stat().st_size
        with self._path.open("rb") as file:
            while left >= _HEAD.size:
                length, digest = _HEAD.unpack(file.read(_HEAD.size))
                left -= _HEAD.size + length
                if left < 0 or xxhash.xxh3_128_digest(data := file.read(length)) != digest:
                    return
                yield data, file.tell()


@contextmanager
def part_of(vectors: UPath) -> Iterator[Path]:
    """Yield where the part of a vectors file lies for the length of a ``with`` block: hidden, beside the file.

    It is removed when all went well, and stays where something failed. What belongs on an object store has its part in
    a temporary folder of this machine, and always begins anew.
    """
    if not is_local(vectors):
        with TemporaryDirectory(prefix="git10m-") as folder:
            yield Path(folder) / vectors.name
        return
    path = Path(str(vectors.with_name(f".{vectors.name}.part")))
    path.parent.mkdir(parents=True, exist_ok=True)
    yield path
    path.unlink(missing_ok=True)


def sweep_parts(folder: UPath) -> None:
    """Remove from ``folder``, where it is local, the parts whose vectors file is there: killed between the two.

    All others stay, also those of shards that were changed since: another recipe of this workspace may have them.
    """
    for path in folder.glob(".*.part") if is_local(folder) else ():
        if is_parquet(path.with_name(path.name[1 : -len(".part")])):
            path.unlink(missing_ok=True)
