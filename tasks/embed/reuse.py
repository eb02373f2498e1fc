"""What the workspace knows of a shard's vectors: where they lie, by model and content, and what was counted."""

import json
from typing import Any

import pyarrow as pa
from upath import UPath

from schemas.embedding import EmbedReport, VectorsReport
from schemas.recipe import Recipe, ScanSettings, fingerprint
from schemas.reports import ScanReport, ShardReport
from schemas.scorer import Scorer
from schemas.tables import VECTORS_VERSION
from tasks.files import read_parquet_metadata
from tasks.scan.identity import Columns

ABOUT = b"vectors"
"""Key of a vectors file's metadata: what was counted and by what it was made, as JSON."""

DIGEST = b"digest"
"""Key of the metadata of vectors and margins: SHA-256, in hex, over what they hold; its last digits are a machine's."""


def vectors_path(workspace: UPath, scorer: Scorer, settings: ScanSettings, columns: Columns, content: str) -> UPath:
    """Return where the vectors of a shard lie: a name for the weights, and for what is shown to the model.

    Args:
        workspace: where vectors are kept.
        scorer: pinned (:func:`tasks.embed.checkpoint.pinned_checkpoint`).
        settings: by which the source was scanned: only pictures that the scan could decode have a vector.
        columns: column of the source that holds each fact; None: found by itself.
        content: identity of the shard.
    """
    shown = {name: columns[name] for name in ("image", "caption")}
    decoded = settings.model_dump(mode="json", exclude={"images", "pixel_digest"})
    made_of = [VECTORS_VERSION, scorer.weights(), scorer.captions, shown, decoded]
    return workspace / "vectors" / fingerprint(made_of)[:16] / f"{content}.parquet"


def margins_path(vectors: UPath, scorer: Scorer) -> UPath:
    """Return where it stands what the pictures of a vectors file are like, by the prompts of ``scorer``."""
    key = fingerprint([vectors.parent.name, scorer.remote_sensing, scorer.other])
    return vectors.parent.parent.parent / "margins" / key[:16] / vectors.name


def recall(shard: ShardReport, vectors: UPath, margins: UPath) -> VectorsReport | None:
    """Return the report on files that are there, whole and made of this shard; else None."""
    try:
        return report_on(shard, vectors, margins, reused=True)
    except (FileNotFoundError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
        return None  # never embedded, or the file is damaged: embedding again is always right


def report_on(shard: ShardReport, vectors: UPath, margins: UPath, *, reused: bool) -> VectorsReport:
    """Return the report on vectors and margins: rows as Parquet has them, against those that were counted."""
    metadata, of_margins = read_parquet_metadata(vectors), read_parquet_metadata(margins)
    for path, found in ((vectors, metadata), (margins, of_margins)):
        if found.num_rows != shard.rows:
            raise ValueError(f"{path}: {found.num_rows} rows, of a shard of {shard.rows}")
    return VectorsReport(
        shard=shard.shard,
        rows=metadata.num_rows,
        vectors=vectors,
        margins=margins,
        digest=metadata.metadata[DIGEST].decode(),
        margins_digest=of_margins.metadata[DIGEST].decode(),
        reused=reused,
        **json.loads(metadata.metadata[ABOUT])["counts"],
    )


def dimensions_of(vectors: UPath) -> int:
    """Return how long the vectors of a file are."""
    dimensions: int = json.loads(read_parquet_metadata(vectors).metadata[ABOUT])["dimensions"]
    return dimensions


def known_vectors(scorer: Scorer, scan: ScanReport, recipe: Recipe) -> list[VectorsReport | None]:
    """Return what is known of each shard of ``scan`` by ``scorer``, which is pinned, in source order."""
    columns = recipe.source.columns.model_dump()
    found = []
    for shard in scan.shards:
        vectors = vectors_path(recipe.workspace, scorer, recipe.scan, columns, shard.content_xxh3)
        found.append(recall(shard, vectors, margins_path(vectors, scorer)))
    return found


def known_embeddings(recipe: Recipe, scan: ScanReport) -> tuple[EmbedReport, ...] | None:
    """Return the report on each scorer of ``recipe``, which is pinned; None if a shard of ``scan`` has no vectors."""
    reports = []
    for scorer in recipe.scorers:
        known = [report for report in known_vectors(scorer, scan, recipe) if report is not None]
        if len(known) < len(scan.shards) or not known:
            return None
        reports.append(embed_report(scorer, known))
    return tuple(reports)


def embed_report(scorer: Scorer, shards: list[VectorsReport]) -> EmbedReport:
    """Return the report on all shards of a source, of which there is one at least."""
    return EmbedReport(scorer=scorer.name, dimensions=dimensions_of(shards[0].vectors), shards=tuple(shards))


def about(counts: dict[str, int], dimensions: int, made_by: dict[str, Any], digest: str) -> dict[bytes, bytes]:
    """Return the key-value metadata of a vectors file."""
    told = {"counts": counts, "dimensions": dimensions, "made_by": made_by}
    return {ABOUT: json.dumps(told).encode(), DIGEST: digest.encode()}
