"""What automations can act on: events of subsets that were published, and of shards that cannot be read."""

import re

from prefect.events import emit_event

from schemas.reports import PublishReport, QuarantinedShard

PUBLISHED = "git10m.subset.published"
QUARANTINED = "git10m.shard.quarantined"


def emit_published(source: str, subset: PublishReport) -> None:
    """Tell of a subset that was published; the resource is ``git10m.subset.<subset>``."""
    selected = subset.select
    emit_event(
        PUBLISHED,
        resource={
            "prefect.resource.id": f"git10m.subset.{_id(selected.subset)}",
            "prefect.resource.name": selected.subset,
            "git10m.directory": str(subset.directory),
            "git10m.version": subset.version,
        },
        payload={
            "source": source,
            "rows": selected.rows,
            "kept": selected.kept,
            "manifest": str(subset.manifest),
            "report": None if subset.report is None else str(subset.report),
        },
    )


def emit_quarantined(source: str, bad: QuarantinedShard) -> None:
    """Tell of a shard that cannot be read, or not to its end; the resource is ``git10m.shard.<source>.<shard>``."""
    emit_event(
        QUARANTINED,
        resource={
            "prefect.resource.id": f"git10m.shard.{_id(source)}.{_id(bad.shard)}",
            "prefect.resource.name": bad.shard,
            "git10m.source": source,
        },
        payload={"error": bad.error, "rows": bad.rows},
    )


def _id(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)
