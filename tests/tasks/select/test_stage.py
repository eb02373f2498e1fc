from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.reasons import Reason
from schemas.recipe import Recipe
from schemas.reports import ScanReport, SelectReport, ShardReport
from schemas.tables import SIGNALS
from tasks.deduplicate.stage import find_duplicates
from tasks.select.rules import ColumnAbsent
from tasks.select.stage import give_verdicts

UNSEEN = {"caption_words": 5, "byte_length": 0, "defects": []}
"""The signals of a row whose image was not read."""


def scanned(folder: Path, rows: list[dict[str, Any]], layout: dict[str, str]) -> ScanReport:
    """Write signals as a scan does, and return its report."""
    numbered = [UNSEEN | {"row": number} | row for number, row in enumerate(rows)]
    table = pa.Table.from_pylist(numbered, schema=SIGNALS)
    path = folder / "signals.parquet"
    pq.write_table(table, path)
    shard = ShardReport(
        shard="a", content_xxh3="0", byte_length=1, rows=len(rows), sound_rows=len(rows), defective_rows=0,
        image_bytes=0, signals=path, reused=False, layout=layout,
    )  # fmt: skip
    return ScanReport.of([shard])


def select(folder: Path, scan: ScanReport, **subset: Any) -> SelectReport:
    recipe = Recipe.model_validate(
        {
            "source": {"path": str(folder), "name": "tiny"},
            "scan": {"images": False},
            "subsets": [{"name": "clean"} | subset],
            "output": {"dir": str(folder / "subsets")},
            "workspace": str(folder / "workspace"),
        }
    )
    pairs = find_duplicates(scan, (), recipe.deduplication, recipe.workspace)
    return give_verdicts(recipe, recipe.subsets[0], scan, pairs)


@pytest.mark.parametrize("named", [True, False])
def test_rows_whose_images_were_not_read_are_no_duplicates_and_fill_every_split(tmp_path: Path, named: bool) -> None:
    rows = [{"img_name_xxh3": n * 2**50 if named else None} for n in range(1, 401)]
    fractions = {"fractions": {"train": 0.5, "test": 0.5}}
    report = select(tmp_path, scanned(tmp_path, rows, {"caption": "text", "img_name": "name"}), splits=fractions)
    assert report.kept == 400
    assert min(report.splits.values()) > 150


def test_a_caption_s_length_that_only_flags_is_counted_among_the_flags(tmp_path: Path) -> None:
    scan = scanned(tmp_path, [{}, {"caption_words": 2}], {"caption": "text"})
    report = select(tmp_path, scan, caption_words={"min": 3, "action": "flag"})
    assert report.kept == 2
    assert [(count.reason, count.rows) for count in report.flags] == [(Reason.CAPTION_TOO_SHORT, 1)]


def test_a_threshold_on_an_absent_column_stops_the_subset(tmp_path: Path) -> None:
    scan = scanned(tmp_path, [{}], {"caption": "text"})
    with pytest.raises(ColumnAbsent, match=r"subset clean: quality.min_score needs the column img_quality_score"):
        select(tmp_path, scan, quality={"min_score": 1.0})
    assert select(tmp_path, scan).kept == 1


def test_a_threshold_is_held_against_the_zoom_of_the_older_layout(tmp_path: Path) -> None:
    scan = scanned(tmp_path, [{"z": 10}, {"z": None}, {"z": 12}], {"caption": "text"})
    report = select(tmp_path, scan, zoom={"max": 11})
    assert report.kept == 1
