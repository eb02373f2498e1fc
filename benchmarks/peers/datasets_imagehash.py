"""The job with ``datasets`` and ``imagehash``. Runs in the peer's environment: ``SOURCE OUTPUT MIN_SCORE [guarded]``.

Hashes are mapped over all pictures, so that `datasets` finds them in its cache when another threshold is asked for.
"""

import io
import sys
from pathlib import Path

import imagehash
import numpy as np
from datasets import Image, load_dataset
from PIL import Image as Pictures

PROCESSES = 2
RADIUS = 10  # [bits of 64]


def hashed(row: dict) -> dict:
    """Return the hash of a decoded picture."""
    return {"phash": str(imagehash.phash(row["image"]))}


def hashed_if_sound(row: dict) -> dict:
    """Return the hash of a picture, None if it cannot be decoded."""
    try:
        with Pictures.open(io.BytesIO(row["image"]["bytes"])) as picture:
            return {"phash": str(imagehash.phash(picture))}
    except Exception:
        return {"phash": None}


def keepers(hashes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return which rows to keep, best first: none is within the radius of a better one that is kept."""
    order = np.argsort(-scores, kind="stable")
    hashes = hashes[order]
    kept = np.ones(len(hashes), bool)
    for begin in range(0, len(hashes), 500):
        near = np.bitwise_count(hashes[begin : begin + 500, None] ^ hashes) <= RADIUS
        for place, others in enumerate(near, begin):
            if kept[place]:
                kept[place + 1 :] &= ~others[place + 1 :]
    return order[kept]


def main(source: str, output: str, min_score: str, *flags: str) -> None:
    """Read, hash, deduplicate, filter and write."""
    files = sorted(str(path) for path in Path(source).glob("*.parquet"))
    pairs = load_dataset("parquet", data_files=files, split="train")
    pictures = pairs.select_columns("image")
    if "guarded" in flags:
        pictures = pictures.cast_column("image", Image(decode=False))
    found = pictures.map(
        hashed_if_sound if "guarded" in flags else hashed,
        features=None,
        remove_columns="image",
        num_proc=PROCESSES,
    )["phash"]
    sound = np.array([place for place, phash in enumerate(found) if phash is not None])
    hashes = np.array([int(found[place], 16) for place in sound], np.uint64)
    scores = np.array(pairs["img_quality_score"], np.float64)[sound]
    unlike = pairs.select(np.sort(sound[keepers(hashes, scores)]))
    least = float(min_score)
    chosen = unlike.filter(
        lambda score, caption: score >= least and 10 <= len(caption.split()) <= 100,
        input_columns=["img_quality_score", "caption"],
        num_proc=PROCESSES,
    )
    chosen.to_parquet(Path(output) / "train.parquet")


if __name__ == "__main__":
    main(*sys.argv[1:])
