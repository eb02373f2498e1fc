"""What a run shows in the Prefect UI when it is done: the funnel as a table and the result in Markdown, by subset."""

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from schemas.reports import CurateReport, PublishReport


def announce(report: CurateReport) -> None:
    """Create the artifacts of a finished run."""
    for subset in report.subsets:
        key = subset.select.subset.replace("_", "-")
        create_table_artifact(
            key=f"funnel-{key}",
            table=funnel_rows(subset),
            description=f"{subset.select.subset}: rows left after each stage",
        )
        create_markdown_artifact(
            key=f"result-{key}", markdown=_markdown(report, subset), description=f"{subset.select.subset}: the result"
        )


def funnel_rows(subset: PublishReport) -> list[dict[str, str]]:
    """Return the funnel as table rows: stage, rows rejected there, rows left, and what part of all that is."""
    funnel = subset.select.funnel
    rows = [{"stage": "source", "rejected": "", "left": f"{funnel.source_rows:,}", "left %": "100.0"}]
    for step in funnel.steps:
        part = 100 * step.left / funnel.source_rows if funnel.source_rows else 0.0
        left = {"left": f"{step.left:,}", "left %": f"{part:.1f}"}
        rows.append({"stage": step.stage.value, "rejected": f"{step.rejected:,}", **left})
    return rows


def _markdown(report: CurateReport, subset: PublishReport) -> str:
    selected = subset.select
    lines = [
        f"# {selected.subset}",
        f"Kept **{selected.kept:,}** of {selected.rows:,} pairs of {report.source} "
        f"({selected.kept_image_bytes / 1e6:,.1f} MB of images).",
        f"Quality threshold: {'none' if selected.min_score is None else f'{selected.min_score:g}'}.",
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
        f"- report: `{subset.report}`",
    ]
    return "\n".join(lines)
