"""Whatever is read, sorted and held at a time, the result has the same bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from signals import scanned, select, tile

from schemas.reports import ScanReport
from tasks import signals, spill
from tasks.deduplicate import buckets

ROWS, SHARDS = 600, 9
NEAR = {"near": {"radius_bits": 8}, "same_tile": True, "caption_copies": 3}
SPATIAL = {"fractions": {"test": 0.3, "train": 0.7}, "spatial": {"zoom": 6, "buffer": {"zoom": 7}}}
SUBSETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "numbers": (NEAR, {"quality": {"min_score": 0.3}, "signals": {"sharpness": {"max": 0.95}}}),
    "quantiles": (
        NEAR | {"nested_tiles": "finest"},
        {
            "quality": {"min_quantile": 0.2, "per_zoom": True},
            "top": {"signal": "sharpness", "fraction": 0.7, "per_zoom": True},
            "sampling": {"per_tile": {"zoom": 4, "rows": 20}, "per_zoom": 60, "fraction": 0.9, "max_bytes": 2_000},
        },
    ),
    "spatial": (NEAR | {"nested_tiles": "coarsest"}, {"splits": SPATIAL}),
    "copies": ({"near": None, "exact_bytes": False}, {"splits": {"fractions": {"test": 0.5, "train": 0.5}}}),
}


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> ScanReport:
    """Rows of pictures, tiles, captions and names that many have in common, and some have not."""
    rng = np.random.default_rng(4)
    known: list[dict[str, Any]] = []
    for number in range(ROWS):
        z = int(rng.integers(5, 9))
        row: dict[str, Any] = {
            "img_name_xxh3": int(rng.integers(500)), "caption_xxh3": int(rng.integers(150)),
            "img_quality_score": float(rng.random()), "sharpness": float(rng.random()), "luma_std": 40.0,
            "caption_words": int(rng.integers(3, 9)), "byte_length": int(rng.integers(5, 30)),
            "sha256": rng.bytes(32), "phash": int(rng.integers(2**63)), "signature": number * 2**50 + 1,
            "descriptor": rng.integers(-60, 60, 256, np.int8).tobytes(),
        }  # fmt: skip
        if known and number % 3 == 0:
            other = known[int(rng.integers(len(known)))]
            row |= {name: other[name] for name in ("phash", "descriptor")}
            row |= {name: other[name] for name in (("signature",), ("signature", "sha256"), ())[number // 3 % 3]}
        if number % 4:
            row |= tile(z, *rng.integers(2**z // 4, size=2).tolist())
        if number % 50 == 0:
            row |= dict.fromkeys(("phash", "signature", "descriptor"))
        known.append(row)
    edges = np.sort(rng.integers(0, ROWS, SHARDS - 1)).tolist()
    shards = [known[begin:end] for begin, end in zip([0, *edges], [*edges, ROWS], strict=True)]
    return scanned(tmp_path_factory.mktemp("signals"), *shards)


@pytest.mark.parametrize("name", SUBSETS)
def test_small_pieces_buckets_and_arrays_in_files_give_the_same_bytes(
    tmp_path: Path, scan: ScanReport, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    deduplication, subset = SUBSETS[name]
    whole = select(tmp_path / "whole", scan, deduplication, **subset)
    monkeypatch.setattr(signals, "PIECE_ROWS", 7)
    monkeypatch.setattr(buckets, "BUCKET_ROWS", 40)
    monkeypatch.setattr(spill, "SPILLED_BYTES", 0)
    pieces = select(tmp_path / "pieces", scan, deduplication, **subset)
    assert 0 < whole.kept < ROWS or name == "copies"
    assert pieces.model_dump(exclude={"verdicts"}) == whole.model_dump(exclude={"verdicts"})
    files = {path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.parquet")}
    assert len(files) == (3 if deduplication["near"] is None else 4)
    for file in files:
        assert (tmp_path / "pieces" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
