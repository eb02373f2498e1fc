from pathlib import Path

import pytest
from signals import scanned, select

from schemas.reasons import Reason
from tasks.select.thresholds import ColumnAbsent


@pytest.mark.parametrize("named", [True, False])
def test_rows_whose_images_were_not_read_are_no_duplicates_and_fill_every_split(tmp_path: Path, named: bool) -> None:
    rows = [{"img_name_xxh3": n * 2**50 if named else None} for n in range(1, 401)]
    fractions = {"fractions": {"train": 0.5, "test": 0.5}}
    report = select(tmp_path, scanned(tmp_path, rows, layout={"caption": "text", "img_name": "name"}), splits=fractions)
    assert report.kept == 400
    assert min(report.splits.values()) > 150


def test_a_caption_s_length_that_only_flags_is_counted_among_the_flags(tmp_path: Path) -> None:
    scan = scanned(tmp_path, [{}, {"caption_words": 2}], layout={"caption": "text"})
    report = select(tmp_path, scan, caption_words={"min": 3, "action": "flag"})
    assert report.kept == 2
    assert [(count.reason, count.rows) for count in report.flags] == [(Reason.CAPTION_TOO_SHORT, 1)]


def test_a_threshold_on_an_absent_column_stops_the_subset(tmp_path: Path) -> None:
    scan = scanned(tmp_path, [{}], layout={"caption": "text"})
    with pytest.raises(ColumnAbsent, match=r"subset clean: quality.min_score needs the column img_quality_score"):
        select(tmp_path, scan, quality={"min_score": 1.0})
    assert select(tmp_path, scan).kept == 1


def test_a_threshold_is_held_against_the_zoom_of_the_older_layout(tmp_path: Path) -> None:
    scan = scanned(tmp_path, [{"z": 10}, {"z": None}, {"z": 12}], layout={"caption": "text"})
    report = select(tmp_path, scan, zoom={"max": 11})
    assert report.kept == 1
