"""What each picture is like, by some texts: a picture that is none of remote sensing stands out."""

from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from schemas.scorer import Scorer
from schemas.tables import MARGINS
from tasks.embed.model import Embedder, Vectors
from tasks.embed.reuse import DIGEST
from tasks.embed.vectors import Halves, read_vectors
from tasks.files import appearing

_PIECE = 8_192  # rows that are in single precision at once


def write_margins(vectors: UPath, path: UPath, scorer: Scorer, embedder: Embedder) -> None:
    """Write to ``path`` what the pictures of a vectors file are like (:data:`schemas.tables.MARGINS`)."""
    prompts = [*scorer.remote_sensing, *scorer.other]
    of_images, present = read_vectors(vectors, "image")
    margin, nearest = hold_against_prompts(of_images, embedder.texts(prompts), len(scorer.remote_sensing))
    absent = ~present
    codes = pa.array(nearest.astype(np.int16), mask=absent)
    columns = [
        np.arange(len(margin), dtype=np.int32),
        pa.array(margin, mask=absent),
        pa.DictionaryArray.from_arrays(codes, pa.array(prompts)),
    ]
    schema = MARGINS.with_metadata({DIGEST: sha256(margin[present].tobytes()).hexdigest()})
    with appearing(path) as temporary:
        pq.write_table(pa.table(columns, schema=schema), temporary, compression="zstd")


def hold_against_prompts(images: Halves, prompts: Vectors, wanted: int) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return the margin of each picture, shape (n,), and the prompt that it is most like, shape (n,).

    The margin is its cosine with the nearest of the first ``wanted`` prompts, less that with the nearest of all others.
    """
    margin, nearest = np.empty(len(images), np.float32), np.empty(len(images), np.intp)
    for start in range(0, len(images), _PIECE):
        here = slice(start, start + _PIECE)
        cosine = images[here].astype(np.float32) @ prompts.T
        margin[here] = cosine[:, :wanted].max(axis=1) - cosine[:, wanted:].max(axis=1)
        nearest[here] = cosine.argmax(axis=1)
    return margin, nearest
