"""What a tool made of the input: which rows it kept, and what became of those that were planted."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from benchmarks.peers.source import CAPTION_WORDS, PAIRS, Planted


class Given(NamedTuple):
    """A row of the input."""

    image: bytes | None
    score: float
    words: int

    def passes(self, min_score: float) -> bool:
        """Return whether the row is within the thresholds."""
        low, high = CAPTION_WORDS
        return self.score >= min_score and low <= self.words <= high


class Outcome(NamedTuple):
    """What became of the input."""

    rows: int  # kept
    copies_removed: int  # planted copies of which only one is left, the original or the copy
    lost: int  # pictures, unlike all others, that pass the thresholds and are not kept in any form
    astray: int  # rows that are kept though they do not pass
    altered: int  # sound pictures that are kept in other bytes
    broken: Mapping[str, Counter[str]]  # by kind: what became of them, how often


def read_given(source: Path) -> dict[str, Given]:
    """Return the rows of the input by name."""
    given = {}
    for path in sorted((source / PAIRS).glob("*.parquet")):
        columns = pq.read_table(path, columns=["img_name", "image", "img_quality_score", "caption"]).to_pylist()
        for row in columns:
            image, words = row["image"], len(row["caption"].split())
            given[row["img_name"]] = Given(image and image["bytes"], row["img_quality_score"], words)
    return given


def outcome_of(output: Path, given: Mapping[str, Given], planted: Planted, min_score: float) -> Outcome:
    """Look through the Parquet files in ``output``.

    Raises:
        KeyError: if they hold a row that was not in the input.
    """
    kept = dict(_kept(output))
    broken: dict[str, Counter[str]] = defaultdict(Counter)
    for name, kind in planted.broken.items():
        broken[kind][_became(name, kept, given)] += 1
    sound = [name for name in kept if name not in planted.broken]
    originals = {name: planted.copies.get(name, name) for name in given if name not in planted.broken}
    places = {originals[name] for name in sound}
    wanted = {original for name, original in originals.items() if given[name].passes(min_score)}
    return Outcome(
        rows=len(kept),
        copies_removed=sum((copy in kept) + (original in kept) == 1 for copy, original in planted.copies.items()),
        lost=len(wanted - places),
        astray=sum(not given[name].passes(min_score) for name in kept),
        altered=sum(kept[name] != given[name].image for name in sound),
        broken=broken,
    )


def pictures_of(given: Mapping[str, Given], planted: Planted, min_score: float) -> int:
    """Return how many rows there are that pass the thresholds, broken pictures and planted copies left out."""
    apart = planted.broken.keys() | planted.copies.keys()
    return sum(row.passes(min_score) for name, row in given.items() if name not in apart)


def _kept(output: Path) -> Iterator[tuple[str, bytes | None]]:
    for path in sorted(output.rglob("*.parquet")):
        table = pq.read_table(path)
        if "image_bytes" in table.column_names:  # Data-Juicer's layout: a list
            images = [images[0] if images else None for images in table["image_bytes"].to_pylist()]
        else:
            images = [image and image["bytes"] for image in table["image"].to_pylist()]
        yield from zip(table["img_name"].to_pylist(), images, strict=True)


def _became(name: str, kept: Mapping[str, bytes | None], given: Mapping[str, Given]) -> str:
    if name not in kept:
        return "dropped"
    if not kept[name]:
        return "kept, empty"
    return "kept" if kept[name] == given[name].image else "kept, altered"
