"""Kernel: the images of a batch, hashed, decoded and measured."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.reasons import Reason
from tasks.scan.decode import THUMBNAIL, Decoded, ImageDefect
from tasks.scan.descriptor import SIDE, describe
from tasks.scan.measure import measure

_HEADER = {
    "format": pa.string(),
    "mode": pa.string(),  # null where nothing was decoded
    "width": pa.int32(),
    "height": pa.int32(),
    "pixels_xxh3": pa.uint64(),
}


def _unheard(row: int | None) -> None:
    """Take no notice: the beat of a caller that watches nothing."""


def digest_of(image: memoryview | None) -> bytes | None:
    """Return the SHA-256 of an image's bytes: 32 bytes; None where there are none."""
    return hashlib.sha256(image).digest() if image else None


def read_images(
    images: pa.Array | pa.ChunkedArray,
    *,
    decoder: Callable[[memoryview], Decoded],
    beat: Callable[[int | None], None] = _unheard,
    within: AbstractContextManager[None] | None = None,
) -> tuple[dict[str, pa.Array], dict[int, dict[Reason, str]]]:
    """Return the signals of a column of image bytes, and the image defects by row.

    A row can have a defect and measurements: one that ``decoder`` notes beside the picture it returns.

    The bytes are hashed and decoded where they lie: a memory-mapped shard is not copied.

    Args:
        images: Binary of any kind; a slice or chunks are welcome.
        decoder: Takes an image's bytes; raises ImageDefect, or MemoryError, which counts as undecodable.
        beat: Called with the row, counted from the start of ``images``, before its decoder runs, and with None after
            the last, so that a supervisor can tell which picture hangs or has ended the process.
        within: What decoders run within: a limit on memory, which what is measured afterwards is not held to.
    """
    chunks = images.chunks if isinstance(images, pa.ChunkedArray) else [images]
    views = [view for chunk in chunks for view in byte_views(chunk)]
    luma = np.empty((len(views), THUMBNAIL, THUMBNAIL), np.uint8)
    with within or nullcontext():
        hashes, headers, defects = _decode(views, decoder, beat, luma)
    decoded = np.fromiter((mode is not None for _, mode, *_ in headers), np.bool_, len(views))
    columns: dict[str, Any] = {
        "byte_length": pa.array([len(data) if data else 0 for data in views], pa.int64()),
        "sha256": pa.array(hashes, pa.binary(32)),
    }
    for at, (name, type_) in enumerate(_HEADER.items()):
        columns[name] = pa.array([header[at] for header in headers], type_)
    pictures = luma[decoded]
    for name, values in measure(pictures)._asdict().items():
        columns[name] = _spread(values, decoded)
    described = describe(pictures)
    columns["structure"] = _spread(described.structure, decoded)
    hashed = decoded.copy()
    hashed[decoded] = ~described.plain
    columns["phash"] = _spread(described.phash[~described.plain], hashed)
    columns["signature"] = _spread(described.signature[~described.plain], hashed)
    columns["descriptor"] = _spread_bytes(described.descriptor[~described.plain], hashed)
    return columns, defects


def _decode(
    views: list[memoryview | None],
    decoder: Callable[[memoryview], Decoded],
    beat: Callable[[int | None], None],
    luma: NDArray[np.uint8],
) -> tuple[list[bytes | None], list[tuple[Any, ...]], dict[int, dict[Reason, str]]]:
    """Fill ``luma`` where an image is decoded; return each one's SHA-256 and header, and the defects by row."""
    hashes: list[bytes | None] = [None] * len(views)
    headers: list[tuple[Any, ...]] = [(None,) * len(_HEADER)] * len(views)
    defects: dict[int, dict[Reason, str]] = {}
    for row, data in enumerate(views):
        if not data:
            defects[row] = {
                Reason.IMAGE_MISSING: f"image: found {'null' if data is None else '0 bytes'}, expected an image"
            }
            continue
        hashes[row] = digest_of(data)
        beat(row)
        try:
            image = decoder(data)
        except ImageDefect as defect:
            defects[row] = {defect.reason: f"image: {defect}"}
            headers[row] = (defect.format, None, *(defect.size or (None, None)), None)
            continue
        except MemoryError:
            defects[row] = {Reason.IMAGE_UNDECODABLE: "image: the decoder needs more memory than there is"}
            continue
        if image.notes:
            defects[row] = {reason: f"image: {detail}" for reason, detail in image.notes}
        luma[row] = image.luma
        headers[row] = (image.format, image.mode, image.width, image.height, image.pixels_xxh3)
    beat(None)
    return hashes, headers, defects


def _spread(values: NDArray[Any], at: NDArray[np.bool_]) -> pa.Array:
    """Return ``values`` in the rows where ``at`` is true, and null elsewhere."""
    spread = np.zeros(len(at), values.dtype)
    spread[at] = values
    return pa.array(spread, mask=~at)


def _spread_bytes(values: NDArray[np.int8], at: NDArray[np.bool_]) -> pa.Array:
    spread = np.zeros((len(at), SIDE**2), np.int8)
    spread[at] = values
    present = pa.py_buffer(np.packbits(at, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(SIDE**2), len(at), [present, pa.py_buffer(spread)])


def byte_matrix(column: pa.FixedSizeBinaryArray) -> NDArray[np.int8]:
    """Return fixed-size values as a matrix, shape (rows, bytes); those of null rows are of no meaning."""
    width = column.type.byte_width
    data = np.frombuffer(column.buffers()[1] or b"", np.int8)
    return data[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width)


def byte_views(column: pa.Array) -> list[memoryview | None]:
    """Return a view of each value's bytes in a binary column, None for null; nothing is copied."""
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        column = column.cast(pa.large_binary())
    width: type[np.signedinteger[Any]] = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    _, offset_buffer, data_buffer = column.buffers()
    if data_buffer is None:
        return [None if null else memoryview(b"") for null in column.is_null().to_numpy(zero_copy_only=False)]
    offsets: NDArray[Any] = np.frombuffer(offset_buffer, width)[column.offset : column.offset + len(column) + 1]
    data = memoryview(data_buffer).cast("B")
    views: list[memoryview | None] = [
        data[a:b] for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    ]
    for row in np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)):
        views[row] = None
    return views
