"""The job with CleanVision. Runs in the peer's environment: ``SOURCE OUTPUT MIN_SCORE``.

Rows are filtered first: CleanVision keeps nothing for another run. Its near-duplicates are pictures of equal hash.
"""

import sys
from pathlib import Path

from cleanvision import Imagelab
from datasets import load_dataset

PROCESSES = 2


def main(source: str, output: str, min_score: str) -> None:
    """Read, filter, deduplicate and write."""
    files = sorted(str(path) for path in Path(source).glob("*.parquet"))
    pairs = load_dataset("parquet", data_files=files, split="train")
    least = float(min_score)
    pairs = pairs.filter(
        lambda score, caption: score >= least and 10 <= len(caption.split()) <= 100,
        input_columns=["img_quality_score", "caption"],
        num_proc=PROCESSES,
    )
    lab = Imagelab(hf_dataset=pairs, image_key="image")
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, n_jobs=PROCESSES, verbose=False)
    scores = pairs["img_quality_score"][:]
    copies = set()
    for kind in ("exact_duplicates", "near_duplicates"):
        for alike in lab.info[kind]["sets"]:
            best = max(alike, key=lambda place: scores[place])
            copies.update(place for place in alike if place != best)
    pairs.select([place for place in range(len(pairs)) if place not in copies]).to_parquet(
        Path(output) / "train.parquet"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
