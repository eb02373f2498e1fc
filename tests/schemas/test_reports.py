from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.manifest import DataColumns, Manifest, SourceIdentity
from schemas.reasons import Reason, Stage
from schemas.reports import (
    DataFile,
    Funnel,
    FunnelStep,
    QuarantinedShard,
    ReasonCount,
    ScanReport,
    SelectReport,
    ShardReport,
    WriteReport,
)


def shard(**changes: Any) -> ShardReport:
    facts = {"shard": "a", "content_xxh3": "0", "byte_length": 9, "rows": 3, "sound_rows": 2, "defective_rows": 1}
    return ShardReport.model_validate(
        facts | {"image_bytes": 5, "signals": "s", "reused": False, "layout": {}} | changes
    )


def selected(**changes: Any) -> dict[str, Any]:
    steps = (FunnelStep(stage=Stage.VALIDATION, rejected=1, left=2),)
    return {
        "subset": "s",
        "rows": 3,
        "kept": 2,
        "rejected": 1,
        "kept_image_bytes": 10,
        "funnel": Funnel(source_rows=3, steps=steps),
        "reasons": (ReasonCount(reason=Reason.IMAGE_BLANK, primary=1, rows=1),),
        "flags": (),
        "splits": {"train": 2},
        "verdicts": Path("v"),
    } | changes


def test_reports_that_add_up_are_accepted() -> None:
    assert ScanReport(shards=(shard(),), listed_shards=1).rows == 3
    assert SelectReport.model_validate(selected()).funnel.kept == 2


@pytest.mark.parametrize(
    "changes", [{"kept": 3}, {"rejected": 0}, {"rows": 4}, {"splits": {"train": 1}}, {"reasons": ()}]
)
def test_verdicts_that_do_not_add_up_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="rows or bytes were lost"):
        SelectReport.model_validate(selected(**changes))


def test_lost_rows_shards_and_bytes_are_refused() -> None:
    with pytest.raises(ValidationError, match="sound \\+ defective rows is 2"):
        shard(sound_rows=1)
    with pytest.raises(ValidationError, match="listed shards is 2"):
        ScanReport(shards=(shard(),), listed_shards=2)
    with pytest.raises(ValidationError, match="left after validation"):
        Funnel(source_rows=3, steps=(FunnelStep(stage=Stage.VALIDATION, rejected=2, left=2),))
    file = DataFile(path="data/a", rows=2, byte_length=9, sha256="0" * 64, image_bytes=4)
    with pytest.raises(ValidationError, match="image bytes written is 4"):
        WriteReport(subset="s", expected_rows=2, expected_image_bytes=5, files=(file,))


def test_a_second_run_says_that_nothing_was_scanned() -> None:
    report = ScanReport(shards=(shard(reused=True), shard(reused=True)), listed_shards=2)
    assert str(report) == "scanned 0, reused all 2 shards (6 rows)"


def test_a_changed_manifest_breaks_its_seal() -> None:
    source = SourceIdentity(
        name="d",
        hub=None,
        split="train",
        revision=None,
        licence="x",
        citation=None,
        columns={},
        rows=0,
        shards=(),
        quarantined=(),
    )
    manifest = Manifest(
        subset="s",
        recipe={},
        recipe_sha256="0",
        columns=DataColumns(columns=(), facts={}, arrow=""),
        source=source,
        funnel=Funnel(source_rows=0, steps=()),
        reasons=(),
        flags=(),
        rules_off=(),
        splits={},
        files=(),
        versions={},
    ).sealed()
    text = manifest.model_dump_json()
    assert Manifest.model_validate_json(text) == manifest
    with pytest.raises(ValidationError, match="the manifest was changed"):
        Manifest.model_validate_json(text.replace('"subset":"s"', '"subset":"t"'))


def test_a_damaged_shard_counts_once_and_stands_in_both_lists() -> None:
    bad = QuarantinedShard(shard="b", error="b: missing")
    report = ScanReport.of([shard(), shard(shard="c", damage="c: cut short"), bad])
    assert (report.rows, report.listed_shards) == (6, 3)
    assert [(q.shard, q.rows) for q in report.quarantined] == [("c", 3), ("b", 0)]
    with pytest.raises(ValidationError, match="listed shards is 4"):
        ScanReport(shards=report.shards, quarantined=report.quarantined, listed_shards=4)


def test_a_fact_is_absent_when_no_shard_has_it() -> None:
    one, two = shard(layout={"image": "jpg"}), shard(layout={"image": "jpg", "caption": "txt"})
    assert ScanReport.of([one, two]).absent == (
        "img_name", "img_quality_score", "caption_length", "resolution", "Google_location",
    )  # fmt: skip
