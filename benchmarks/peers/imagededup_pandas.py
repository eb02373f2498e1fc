"""The job with imagededup and pandas. Runs in the peer's environment: ``SOURCE OUTPUT MIN_SCORE``.

imagededup reads a folder of files: the pictures of rows that pass the filters are written to one. It logs files that it
cannot decode and gives them no hash.
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd
from imagededup.methods import PHash

PROCESSES = 2


def main(source: str, output: str, min_score: str) -> None:
    """Read, filter, deduplicate and write."""
    pairs = pd.read_parquet(source, dtype_backend="pyarrow")
    words = pairs["caption"].str.split().list.len()
    pairs = pairs[(pairs["img_quality_score"] >= float(min_score)) & words.between(10, 100)]
    with tempfile.TemporaryDirectory() as folder:
        for name, image in zip(pairs["img_name"], pairs["image"], strict=True):
            if isinstance(image, dict) and image["bytes"]:
                Path(folder, name).write_bytes(image["bytes"])
        hasher = PHash(verbose=False)
        hashes = hasher.encode_images(folder, num_enc_workers=PROCESSES)
        copies = hasher.find_duplicates_to_remove(encoding_map=hashes, num_dist_workers=PROCESSES)
    kept = set(hashes) - set(copies)
    pairs[pairs["img_name"].isin(kept)].to_parquet(Path(output) / "train.parquet", index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
