"""The manifest of a subset, from what the stages reported."""

from importlib.metadata import version

from schemas.manifest import Manifest, ShardIdentity, SourceIdentity
from schemas.recipe import Recipe, Source, Subset, fingerprint
from schemas.reports import ScanReport, SelectReport
from schemas.tables import SCAN_VERSION

_BYTE_CHANGING = ("git10m", "datasets", "jinja2", "matplotlib", "numpy", "pillow", "pyarrow", "simplejpeg")
"""Distributions whose version can change a byte of a subset."""


def draft_manifest(recipe: Recipe, subset: Subset, scan: ScanReport, selected: SelectReport) -> Manifest:
    """Return the manifest of ``subset`` without files and without seal."""
    essence = recipe.essence(subset)
    return Manifest(
        subset=subset.name,
        recipe=essence,
        recipe_sha256=fingerprint(essence),
        min_score=selected.min_score,
        source=_identify(recipe.source, scan),
        funnel=selected.funnel,
        reasons=selected.reasons,
        flags=selected.flags,
        splits=selected.splits,
        files=(),
        versions={"scan": str(SCAN_VERSION)} | {name: version(name) for name in _BYTE_CHANGING},
    )


def _identify(source: Source, scan: ScanReport) -> SourceIdentity:
    return SourceIdentity(
        name=source.name,
        split=source.split,
        revision=source.revision,
        licence=source.licence,
        citation=source.citation,
        rows=scan.rows,
        shards=tuple(
            ShardIdentity(
                shard=shard.shard, content_xxh3=shard.content_xxh3, rows=shard.rows, byte_length=shard.byte_length
            )
            for shard in scan.shards
        ),
        quarantined=scan.quarantined,
    )
