"""A subset's manifest made by hand, for tests of what is written from one."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.manifest import Manifest, ShardIdentity, SourceIdentity
from schemas.reasons import Reason, Stage
from schemas.recipe import Output, fingerprint
from schemas.reports import DataFile, Funnel, FunnelStep, QuarantinedShard, ReasonCount, Threshold
from tasks.write.schema import DataSchema

HOSTILE = (
    "a|b `c` ``` <script>alert(1)</script> [x](javascript:y) ![p](q) *b* _i_ ~s~ &amp; \\ \n# heading\n---\n\r\t'\" "
    "{{ m }} é"
)
"""Text that would break out of a table cell, a line, an element, a YAML header or a template."""

SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("img_name", pa.string()),
        ("img_quality_score", pa.float64()),
        ("caption", pa.string()),
        ("caption_length", pa.int64()),
    ]
)


def described(schema: pa.Schema) -> DataSchema:
    """Return ``schema`` as that of data files, with the Hub's features."""
    from datasets import Features, Image

    features = Features.from_arrow_schema(schema)
    if "image" in features:
        features["image"] = Image()
    facts = {name: name for name in ("image", "img_name", "img_quality_score", "caption") if name in schema.names}
    return DataSchema(schema.with_metadata(features.arrow_schema.metadata), facts)


def source_of(**changes: Any) -> SourceIdentity:
    """Return a source of 100 rows."""
    return SourceIdentity.model_validate(
        {
            "name": "lcybuaa/Git-10M",
            "hub": "lcybuaa/Git-10M",
            "split": "train",
            "revision": "29f192b8",
            "licence": "CC-BY-NC-ND-4.0",
            "terms": "Not to be modified.",
            "citation": "Liu et al.: Text2Earth, 2025",
            "columns": {"image": "image"},
            "rows": 100,
            "shards": (ShardIdentity(shard="data-0.arrow", content_xxh3="0", rows=100, byte_length=1),),
            "quarantined": (QuarantinedShard(shard="data-1.arrow", error="cut short", rows=7),),
        }
        | changes
    )


def manifest_of(
    schema: pa.Schema = SCHEMA,
    *,
    output: dict[str, Any] | None = None,
    splits: dict[str, int] | None = None,
    **changes: Any,
) -> Manifest:
    """Return a manifest of a source of 100 rows; ``splits`` say how many are kept, 40 by default."""
    splits = splits or {"train": 40}
    kept = sum(splits.values())
    recipe = {
        "subsets": [{"name": "small", "quality": {"min_quantile": 0.5}, "caption_words": {"min": 30, "max": 90}}],
        "output": Output.model_validate({"dir": "x"} | (output or {})).model_dump(mode="json", exclude={"dir", "mode"}),
    }
    facts = {
        "subset": "small",
        "recipe": recipe,
        "recipe_sha256": fingerprint(recipe),
        "thresholds": (
            Threshold(
                key="quality.min_quantile",
                reason=Reason.QUALITY_BELOW,
                signal="img_quality_score",
                end="min",
                quantile=0.5,
                value=4.8,
            ),
        ),
        "source": source_of(),
        "funnel": Funnel(
            source_rows=100,
            steps=(
                FunnelStep(stage=Stage.DEDUPLICATION, rejected=10, left=90),
                FunnelStep(stage=Stage.QUALITY, rejected=90 - kept, left=kept),
            ),
        ),
        "reasons": (
            ReasonCount(reason=Reason.DUPLICATE_BYTES, primary=10, rows=10),
            ReasonCount(reason=Reason.QUALITY_BELOW, primary=90 - kept, rows=90 - kept),
        ),
        "flags": (ReasonCount(reason=Reason.IMAGE_NODATA, primary=0, rows=3),),
        "rules_off": (Reason.RESOLUTION_MISMATCH,),
        "splits": splits,
        "columns": described(schema).described(),
        "files": (),
        "versions": {"pyarrow": "24.0.0", "scan": "4"},
    }
    return Manifest.model_validate(facts | changes)


def data_file(path: str, *, rows: int | None = 40, sha256: str = "0" * 64) -> DataFile:
    """Return the record of a file that need not be there."""
    return DataFile(path=path, rows=rows, byte_length=1000, sha256=sha256, image_bytes=900)


def columns_of(rows: int = 5000) -> tuple[pa.Table, NDArray[np.bool_]]:
    """Return the columns that figures are drawn of, and which rows are kept."""
    rng = np.random.default_rng(7)
    score = rng.normal(4.9, 0.5, rows)
    score[::50] = np.nan
    made = {
        "longitude": pa.array(rng.uniform(-180, 180, rows), mask=rng.random(rows) < 0.3),
        "latitude": pa.array(rng.uniform(-55, 75, rows)),
        "z": pa.array(rng.integers(10, 19, rows), pa.int8(), mask=rng.random(rows) < 0.3),
        "img_quality_score": pa.array(score, mask=rng.random(rows) < 0.1),
        "caption_words": pa.array(rng.integers(0, 120, rows), pa.int32()),
        "similarity": pa.nulls(rows, pa.float32()),
        "prompt_margin": pa.nulls(rows, pa.float32()),
    }
    return pa.table(made), score >= 4.8
