"""The manifest of a subset, from what the stages reported."""

from importlib.metadata import version

from schemas.manifest import Manifest, ShardIdentity, SourceIdentity
from schemas.recipe import Recipe, fingerprint
from schemas.reports import DeduplicateReport, ScanReport, SelectReport
from schemas.source import HubSource, Source
from schemas.subset import Subset
from schemas.tables import FACT_COLUMNS, PAIRS_VERSION, SCAN_VERSION
from tasks.deduplicate.semantic import clustered_by
from tasks.select.rules import rules_off
from tasks.source.places.hub import split_url
from tasks.write.schema import DataSchema

_BYTE_CHANGING = (
    "git10m", "datasets", "ftfy", "jinja2", "matplotlib", "numba", "numpy", "pillow", "pyarrow", "shapely", "simplejpeg"
)  # fmt: skip
"""Distributions whose version can change a byte of a subset."""


def draft_manifest(
    recipe: Recipe,
    subset: Subset,
    scan: ScanReport,
    duplicates: DeduplicateReport,
    selected: SelectReport,
    target: DataSchema,
) -> Manifest:
    """Return the manifest of ``subset`` without files and without seal."""
    essence = recipe.essence(subset)
    # The older layout of Git-10M has no column for a place, but tells of zoom levels all the same.
    met = {count.reason for count in (*selected.reasons, *selected.flags)}
    return Manifest(
        subset=subset.name,
        recipe=essence,
        recipe_sha256=fingerprint(essence),
        mode=recipe.output.mode,
        thresholds=selected.thresholds,
        scorers=selected.scorers,
        columns=target.described(),
        source=_identify(recipe.source, scan),
        references=tuple(
            _identify(source, reference.scan)
            for source, reference in zip(recipe.deduplication.references, duplicates.references, strict=True)
        ),
        funnel=selected.funnel,
        reasons=selected.reasons,
        flags=selected.flags,
        splits=selected.splits,
        rules_off=tuple(rule for rule in rules_off(scan.absent, images=recipe.scan.images) if rule not in met),
        files=(),
        versions=versions() | clustered_by(duplicates.semantic),
    )


def versions() -> dict[str, str]:
    """Return the versions of all that can change a byte of a subset, but for what clusters semantic duplicates."""
    ours = {"scan": str(SCAN_VERSION), "duplicates": str(PAIRS_VERSION)}
    return ours | {name: version(name) for name in _BYTE_CHANGING}


def _hub_id(source: Source) -> str | None:
    if isinstance(source, HubSource):
        return source.path
    return split_url(source.path).dataset_id if source.path.startswith("hf://") else None


def _identify(source: Source, scan: ScanReport) -> SourceIdentity:
    return SourceIdentity(
        name=source.name,
        hub=_hub_id(source),
        split=source.split,
        revision=source.revision,
        licence=source.licence,
        terms=source.terms,
        citation=source.citation,
        authorization=source.authorization,
        rows=scan.rows,
        columns={fact: column for shard in reversed(scan.shards) for fact, column in shard.layout.items()},
        shards=tuple(
            ShardIdentity(
                shard=shard.shard,
                content_xxh3=shard.content_xxh3,
                rows=shard.rows,
                byte_length=shard.byte_length,
                absent=tuple(fact for fact in FACT_COLUMNS if fact not in shard.layout and fact not in scan.absent),
            )
            for shard in scan.shards
        ),
        quarantined=scan.quarantined,
    )
