"""Kernel: pairs to rows of a vectors file, batch by batch, decoded and tokenized by threads ahead of the model."""

import io
import os
import warnings
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from schemas.tables import vectors_schema
from tasks.embed.captions import Tokenized, cosines, read_captions, tokenize_captions
from tasks.embed.model import Embedder, Prepared, Vectors

_AHEAD = 2  # batches that are prepared while one is with the model
_MOST_THREADS = 32

Rows = NDArray[np.int64]


class Pair(NamedTuple):
    """The bytes of a picture that a scan could decode, and its caption; None for what is not there."""

    image: memoryview | None
    caption: str | None


class _Batch(NamedTuple):
    """Pairs that threads prepare for the model."""

    rows: int
    shown: Rows  # those that have a picture
    told: Rows  # those that have a caption
    pictures: list[Future[Prepared | None]]  # of those shown; None where a picture cannot be decoded after all
    captions: Future[Tokenized]  # of those told


def open_picture(image: memoryview | bytes, formats: Collection[str]) -> Image.Image | None:
    """Return a picture in RGB, by a decoder of ``formats``; None if it cannot be decoded. Of several pages the first.

    Decoders of hostile bytes raise nearly anything.
    """
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(image), formats=tuple(formats)) as picture:
            warnings.simplefilter("ignore")  # the scan has held it to the limit on pixels
            return picture.convert("RGB")
    except Exception:
        return None


def embed_pairs(
    pairs: Iterable[Pair],
    embedder: Embedder,
    batch_size: int,
    captions: Literal["whole", "sentences"],
    formats: Collection[str],
    *,
    first_row: int = 0,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a vectors file (:func:`schemas.tables.vectors_schema`), ``batch_size`` pairs at once.

    Which pairs are together depends on nothing else: not on threads, and not on how a shard is cut into batches.
    ``first_row`` is the place of the first pair in its shard.

    Raises:
        ModelUnusable: as :class:`tasks.embed.model.Embedder`.
    """

    def prepare(image: memoryview) -> Prepared | None:
        picture = open_picture(image, formats)
        return None if picture is None else embedder.prepare(picture)

    def begin(batch: Sequence[Pair], threads: ThreadPoolExecutor) -> _Batch:
        shown = [(row, pair.image) for row, pair in enumerate(batch) if pair.image is not None]
        told = [(row, pair.caption) for row, pair in enumerate(batch) if pair.caption and pair.caption.strip()]
        return _Batch(
            len(batch),
            np.array([row for row, _ in shown], np.int64),
            np.array([row for row, _ in told], np.int64),
            # Before its pictures: a caption that waits for a thread would keep the model waiting.
            captions=threads.submit(tokenize_captions, [caption for _, caption in told], embedder, captions),
            pictures=[threads.submit(prepare, image) for _, image in shown],
        )

    schema, rest, first = vectors_schema(embedder.dimensions), iter(pairs), first_row
    ahead: deque[_Batch] = deque()
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as threads:
        try:
            while True:
                while len(ahead) <= _AHEAD and (batch := list(islice(rest, batch_size))):
                    ahead.append(begin(batch, threads))
                if not ahead:
                    return
                prepared = ahead.popleft()
                columns = _columns(prepared, embedder)
                columns["row"] = pa.array(np.arange(first, first + prepared.rows, dtype=np.int32))
                first += prepared.rows
                yield pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)
        finally:  # of who stops early, or fails, nothing more is decoded
            for waiting in ahead:
                waiting.captions.cancel()
                for picture in waiting.pictures:
                    picture.cancel()


def _columns(batch: _Batch, embedder: Embedder) -> dict[str, pa.Array]:
    rows, told = batch.rows, batch.told
    pictures = [future.result() for future in batch.pictures]
    shown = batch.shown[np.array([picture is not None for picture in pictures], np.bool_)]
    of_images = embedder.prepared_images([picture for picture in pictures if picture is not None])
    read = read_captions(batch.captions.result(), embedder)
    both = np.intersect1d(shown, told)
    similarity = cosines(of_images, np.searchsorted(shown, both), read, np.searchsorted(told, both))
    return {
        "image": _vectors(of_images, shown, rows),
        "text": _vectors(read.vectors, told, rows),
        "similarity": _spread(similarity, both, rows),
        "logit": _spread((embedder.scale * similarity + embedder.bias).astype(np.float32), both, rows),
        "caption_tokens": _spread(read.tokens, told, rows),
        "truncated": _spread(read.tokens > embedder.max_tokens, told, rows),
    }


def _vectors(vectors: Vectors, at: Rows, rows: int) -> pa.Array:
    """Return ``vectors`` in the rows ``at``, in half precision, and null elsewhere."""
    spread = np.zeros((rows, vectors.shape[1]), np.float16)
    spread[at] = vectors
    return pa.FixedSizeListArray.from_arrays(
        pa.array(spread.reshape(-1)), type=pa.list_(pa.float16(), vectors.shape[1]), mask=_absent(at, rows)
    )


def _spread(values: NDArray[np.float32] | NDArray[np.int32] | NDArray[np.bool_], at: Rows, rows: int) -> pa.Array:
    spread = np.zeros(rows, values.dtype)
    spread[at] = values
    return pa.array(spread, mask=np.asarray(_absent(at, rows)))


def _absent(at: Rows, rows: int) -> pa.Array:
    absent = np.ones(rows, np.bool_)
    absent[at] = False
    return pa.array(absent)
