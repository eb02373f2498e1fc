"""A report made by hand, on made rows and pictures, for tests of what a page says and shows."""

import io
import re
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from schemas.manifest import DataColumns, Manifest, ShardIdentity, SourceIdentity
from schemas.reasons import Reason, Stage
from schemas.recipe import fingerprint
from schemas.reports import Funnel, FunnelStep, QuarantinedShard, ReasonCount, Threshold
from tasks.report.captions import count_phrases
from tasks.report.page import Group, GroupSheet, ReportData
from tasks.report.sheets import Picture, Sheet

QUALITY = Threshold(
    key="quality.min_score", reason=Reason.QUALITY_BELOW, signal="img_quality_score", end="min", value=4.8
)
HOSTILE = "<script>alert(1)</script> <img src=http://example.org/x.png> \" ' & </style>"

MAX_PAGE_BYTES = 5_000_000
"""A page is no larger [bytes], of however many rows it tells: figures take less than a megabyte, pictures the rest."""


def repeated_ids(html: str) -> list[str]:
    """Return the ids that more than one element of a page has."""
    return [name for name, times in Counter(re.findall(r'<[^>]* id="([^"]*)"', html)).items() if times > 1]


def jpeg(*, seed: int = 0, side: int = 256) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def group(*, members: int = 2, text: str = "a_1_2.jpg", seed: int = 0, **facts: Any) -> Group:
    """A kept picture and ``members`` rejected ones; every name and caption is ``text``."""
    keeper, *others = (
        Picture(jpeg(seed=seed + number), text, text, f"note {number}", "score 4.5") for number in range(1 + members)
    )
    return Group(keeper, tuple(others), **{"rows": members} | facts)


def report(rows: int = 1000, *, columns: dict[str, Any] | None = None, kept_rows: int | None = None) -> ReportData:
    """A report on ``rows`` made rows, of which the first ``kept_rows`` (default: half) are kept."""
    rng = np.random.default_rng(7)
    kept = np.arange(rows) < (rows // 2 if kept_rows is None else kept_rows)
    score = rng.normal(4.9, 0.5, rows)
    score[::50] = np.nan
    score[1::50] = np.inf
    made = {
        "longitude": pa.array(rng.uniform(-180, 180, rows), mask=rng.random(rows) < 0.3),
        "latitude": pa.array(rng.uniform(-85, 85, rows)),
        "z": pa.array(rng.integers(10, 19, rows), pa.int8(), mask=rng.random(rows) < 0.3),
        "img_quality_score": pa.array(score, mask=rng.random(rows) < 0.1),
        "caption_words": pa.array(rng.integers(0, 120, rows), pa.int32()),
        "split": pa.array(["train"] * rows, mask=~kept).dictionary_encode(),
    }
    left, lost = int(kept.sum()), rows - int(kept.sum())
    recipe = {
        "subsets": [{"name": "small", "quality": {"min_score": 4.8}, "caption_words": {"min": 30, "max": 90}}],
        "note": HOSTILE,
    }
    manifest = Manifest(
        subset="small",
        recipe=recipe,
        recipe_sha256=fingerprint(recipe),
        thresholds=(QUALITY,),
        columns=DataColumns(columns=(), facts={}, arrow=""),
        source=SourceIdentity(
            name="Git-10M",
            hub=None,
            columns={"image": "image"},
            split="train",
            revision="29f192b8",
            licence="CC-BY-NC-ND-4.0",
            citation="Liu et al., Text2Earth, 2025",
            rows=rows,
            shards=(ShardIdentity(shard="data-0.arrow", content_xxh3="0", rows=rows, byte_length=1),),
            quarantined=(QuarantinedShard(shard="data-1.arrow", error="cut short", rows=7),),
        ),
        funnel=Funnel(
            source_rows=rows,
            steps=(
                FunnelStep(stage=Stage.DEDUPLICATION, rejected=lost // 4, left=rows - lost // 4),
                FunnelStep(stage=Stage.QUALITY, rejected=lost - lost // 4, left=left),
            ),
        ),
        reasons=(
            ReasonCount(reason=Reason.DUPLICATE_NEAR, primary=lost // 4, rows=lost // 4),
            ReasonCount(reason=Reason.QUALITY_BELOW, primary=lost - lost // 4, rows=lost),
        ),
        rules_off=(Reason.IMG_NAME_REPEATED,),
        flags=(ReasonCount(reason=Reason.PLACE_MISSING, primary=left // 3, rows=left // 3),),
        splits={"train": left},
        files=(),
        versions={"pillow": "13.0.0"},
    )
    return ReportData(
        manifest=manifest,
        columns=pa.table(made | (columns or {})),
        kept=kept,
        kept_sheet=Sheet(
            "Kept", "A sample.", left, (Picture(jpeg(), HOSTILE, "a_1_2.jpg", "score 5.1"),) if left else ()
        ),
        group_sheets=(
            GroupSheet(
                "duplicate_near",
                "Changed a little.",
                lost // 4,
                1200,
                (group(rows=1002, elsewhere=3, why="among the largest"), group(members=1, text=HOSTILE, seed=5)),
            ),
        ),
        rejected_sheets=(Sheet("quality_below", "Too low.", lost, (Picture(jpeg()[:300], None, None, "score 3.10"),)),),
        captions=count_phrases([HOSTILE], ["a town"]),
        captions_drawn=", drawn at random from 1 of 2 shards",
    )
