"""Signals of rows that nobody scanned, for tests of what is decided by them."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from schemas.embedding import EmbedReport
from schemas.recipe import Recipe
from schemas.reports import ScanReport, SelectReport, ShardReport
from schemas.tables import PAIRS, SIGNALS
from tasks.deduplicate.stage import find_duplicates
from tasks.select.basis import Basis
from tasks.select.verdicts import give_verdicts
from tasks.tiles import tile_centre

UNSEEN = {"caption_words": 5, "byte_length": 0, "defects": []}
"""The signals of a row whose image was not read."""

LAYOUT = {"image": "image", "img_name": "img_name", "caption": "caption", "Google_location": "Google_location"}


def tile(z: int, x: int, y: int) -> dict[str, Any]:
    """Return the signals that tell of a tile."""
    longitude, latitude = tile_centre(z, x, y)
    return {"z": z, "x": x, "y": y, "longitude": float(longitude), "latitude": float(latitude)}


def pictures(count: int) -> list[dict[str, Any]]:
    """Return rows of pictures that are unlike each other; their signatures are 1, 2, 3 and so on."""
    return [
        {"sha256": sha256(str(n).encode()).digest(), "signature": n, "phash": n, "descriptor": bytes(256)}
        for n in range(1, count + 1)
    ]


def scanned(folder: Path, *shards: list[dict[str, Any]], layout: dict[str, str] | None = None) -> ScanReport:
    """Write signals as a scan does, and return its report."""
    reports = []
    for number, rows in enumerate(shards):
        numbered = [UNSEEN | {"row": row} | facts for row, facts in enumerate(rows)]
        path = folder / f"signals-{number}.parquet"
        pq.write_table(pa.Table.from_pylist(numbered, schema=SIGNALS), path)
        reports.append(
            ShardReport(
                shard=f"shard-{number}", content_xxh3=str(number), byte_length=1, rows=len(rows), sound_rows=len(rows),
                defective_rows=0, image_bytes=0, signals=path, reused=False, layout=layout or LAYOUT,
            )
        )  # fmt: skip
    return ScanReport.of(reports)


def select(
    folder: Path,
    scan: ScanReport,
    deduplication: dict[str, Any] | None = None,
    pairs: Sequence[tuple[int, int]] | None = None,
    scorers: Sequence[EmbedReport] = (),
    **subset: Any,
) -> SelectReport:
    """Give the verdicts of a subset with these keys.

    ``pairs`` of signatures are near, or those that are found; ``scorers`` were asked, and are those of the recipe.
    """
    recipe = Recipe.model_validate(
        {
            "source": {"path": str(folder), "name": "tiny"},
            "scorers": [{"name": report.scorer} for report in scorers],
            "deduplication": deduplication or {},
            "subsets": [{"name": "clean"} | subset],
            "output": {"dir": str(folder / "subsets")},
            "workspace": str(folder / "workspace"),
        }
    )
    found = find_duplicates(scan, (), recipe.deduplication, recipe.workspace)
    if pairs is not None:
        path = folder / "pairs.parquet"
        rows = [{"signature_a": a, "signature_b": b, "distance": 3, "similarity": 0.95} for a, b in sorted(pairs)]
        pq.write_table(pa.Table.from_pylist(rows, schema=PAIRS), path)
        found = found.model_copy(update={"path": UPath(path), "pairs": len(rows)})
    return give_verdicts(recipe.subsets[0], Basis(recipe, scan, found, scorers))


def verdicts(report: SelectReport) -> list[dict[str, Any]]:
    """Return the verdicts as dictionaries."""
    rows: list[dict[str, Any]] = pq.read_table(report.verdicts).to_pylist()
    return rows
