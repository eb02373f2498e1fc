"""What a run shows in the Prefect UI when it is done: the funnel as a table and the result in Markdown, by subset."""

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.funnel import funnel_rows
from schemas.reports import CurateReport, PublishReport


def announce(report: CurateReport) -> None:
    """Create the artifacts of a finished run."""
    for subset in report.subsets:
        key = subset.select.subset.replace("_", "-")
        create_table_artifact(
            key=f"funnel-{key}",
            table=funnel_rows(subset.select.funnel),
            description=f"{subset.select.subset}: rows left after each stage",
        )
        create_markdown_artifact(
            key=f"result-{key}", markdown=_markdown(report, subset), description=f"{subset.select.subset}: the result"
        )


def _markdown(report: CurateReport, subset: PublishReport) -> str:
    selected = subset.select
    lines = [
        f"# {selected.subset}",
        f"Kept **{selected.kept:,}** of {selected.rows:,} pairs of {report.source} "
        f"({selected.kept_image_bytes / 1e6:,.1f} MB of images).",
        f"Thresholds: {'; '.join(map(str, selected.thresholds)) or 'none'}.",
        f"Source: {report.scan}.",
        "",
        "| reason | primary | rows | meaning |",
        "|---|---:|---:|---|",
        *(
            f"| `{count.reason.value}` | {count.primary:,} | {count.rows:,} | {count.reason.meaning} |"
            for count in selected.reasons
        ),
        "",
        f"- manifest: `{subset.manifest}`",
        *([f"- report: `{subset.report}`"] if subset.report is not None else []),
    ]
    return "\n".join(lines)
