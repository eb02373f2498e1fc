"""WebDataset tars: each pair a run of members that share a name, its row id."""

import base64
import io
import json
import tarfile
from typing import Any

from tasks.scan.containers import sniff
from tasks.source.columns import IMAGE
from tasks.write.rows import Rows, image_views
from tasks.write.schema import TEXT, DataSchema

_EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif"}
_BUFFERED_BYTES = 2**20


class TarFile:
    """A tar that is being written: the image as ``<row id>.jpg``, columns as ``.json``, caption as ``.txt``.

    Members have no owner and no time, so that the same rows give the same bytes.
    """

    def __init__(self, sink: io.RawIOBase, target: DataSchema):
        self._image = target.columns.get(IMAGE)
        names = target.schema.names
        self._caption = TEXT if TEXT in names else target.columns.get("caption")
        self._others = [name for name in names if name != self._image]
        self._file = io.BufferedWriter(sink, _BUFFERED_BYTES)

    def write(self, rows: Rows) -> None:
        """Add ``rows``."""
        facts: list[dict[str, Any]] = rows.table.select(self._others).to_pylist()
        views = [None] * len(facts) if self._image is None else list(image_views(rows.table[self._image]))
        for row_id, data, row in zip(rows.row_ids.tolist(), views, facts, strict=True):
            key = f"{row_id:012d}"
            if data:
                self._add(f"{key}.{_EXTENSIONS.get(sniff(data) or '', 'bin')}", data)
            self._add(f"{key}.json", json.dumps(row, ensure_ascii=False, default=_plain).encode())
            if self._caption is not None:  # some readers want the same members of every pair
                self._add(f"{key}.txt", str(row[self._caption] or "").encode())

    def _add(self, name: str, data: memoryview | bytes) -> None:
        self._file.write(member_header(name, len(data)))
        self._file.write(data)
        self._file.write(bytes(-len(data) % tarfile.BLOCKSIZE))

    def close(self) -> None:
        """Write the end of the file."""
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))
        self._file.write(bytes(-self._file.tell() % tarfile.RECORDSIZE))
        self._file.close()


_HEADER = tarfile.TarInfo().tobuf(tarfile.GNU_FORMAT)
_SUM = sum(_HEADER[:148]) + sum(_HEADER[156:]) + 8 * ord(" ")


def member_header(name: str, size: int) -> bytes:
    """Return the header of a file in a tar, as :class:`tarfile.TarInfo` makes it in ten times the time.

    Args:
        name: at most 100 ASCII characters.
        size: less than 8 GiB [bytes].
    """
    told, length = name.encode("ascii"), b"%011o" % size
    checksum = b"%06o\0 " % (_SUM + sum(told) + sum(length) - 11 * ord("0"))
    return b"".join((told.ljust(100, b"\0"), _HEADER[100:124], length, _HEADER[135:148], checksum, _HEADER[156:]))


def _plain(value: Any) -> str:
    """Return what JSON has no type for as text: bytes in base64, times and decimals as they are written."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
