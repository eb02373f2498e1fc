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


def write_margins(vectors: UPath, path: UPath, scorer: Scorer, embedder: Embedder) -> None:
    """Write to ``path`` what the pictures of a vectors file are like (:data:`schemas.tables.MARGINS`)."""
    prompts, first, digest = [*scorer.remote_sensing, *scorer.other], 0, sha256()
    of_prompts = embedder.texts(prompts)
    with appearing(path) as temporary, pq.ParquetWriter(temporary, MARGINS, compression="zstd") as writer:
        for of_images, present in read_vectors(vectors, "image"):
            margin, nearest = hold_against_prompts(of_images, of_prompts, len(scorer.remote_sensing))
            columns = [
                np.arange(first, first + len(margin), dtype=np.int32),
                pa.array(margin, mask=~present),
                pa.DictionaryArray.from_arrays(pa.array(nearest.astype(np.int16), mask=~present), pa.array(prompts)),
            ]
            writer.write_table(pa.table(columns, schema=MARGINS))
            digest.update(margin[present].tobytes())
            first += len(margin)
        writer.add_key_value_metadata({DIGEST: digest.hexdigest()})


def hold_against_prompts(images: Halves, prompts: Vectors, wanted: int) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return the margin of each picture, shape (n,), and the prompt that it is most like, shape (n,).

    The margin is its cosine with the nearest of the first ``wanted`` prompts, less that with the nearest of all others.
    """
    cosine = images.astype(np.float32) @ prompts.T
    return cosine[:, :wanted].max(axis=1) - cosine[:, wanted:].max(axis=1), cosine.argmax(axis=1)
