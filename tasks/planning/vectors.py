"""Vectors as a run would find them, and what it would embed."""

import json

from schemas.plan import ScorerPlan
from schemas.recipe import Recipe
from schemas.scorer import Scorer
from tasks.embed.checkpoint import folder_of
from tasks.embed.reuse import dimensions_of, known_vectors
from tasks.planning.known import Known

_HALVES = 2 * 2
"""Bytes of a dimension: picture and caption, in half precision."""


def plan_scorers(recipe: Recipe, known: Known) -> tuple[ScorerPlan, ...]:
    """Return what is known by each scorer of ``recipe``, which is pinned, of the shards that were scanned."""
    return tuple(_plan(recipe, scorer, known) for scorer in recipe.scorers)


def _plan(recipe: Recipe, scorer: Scorer, known: Known) -> ScorerPlan:
    reports = known_vectors(scorer, known.scan, recipe)
    there = [report for report in reports if report is not None]
    rows = sum(report.rows for report in there)
    new = known.scan.rows - rows
    dimensions = dimensions_of(there[0].vectors) if there else _dimensions(scorer)
    return ScorerPlan(
        name=scorer.name,
        known_rows=rows,
        new_rows=new,
        new_bytes=None if dimensions is None and new else _HALVES * (dimensions or 0) * new,
    )


def _dimensions(scorer: Scorer) -> int | None:
    """Return how many dimensions the model in a folder has, as far as its configuration says so."""
    folder = folder_of(scorer)
    if folder is None:
        return None
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        text = config.get("text_config") or {}
        found = config.get("projection_dim") or text.get("projection_size") or text.get("hidden_size")
    except (OSError, ValueError, AttributeError):  # told when the model is loaded
        return None
    return found if isinstance(found, int) else None


def missing_vectors(plans: tuple[ScorerPlan, ...]) -> list[str]:
    """Return what keeps the numbers of a plan from being exact: rows that no model has seen."""
    return [
        f"{plan.new_rows:,} of {plan.known_rows + plan.new_rows:,} rows have no vectors by {plan.name} yet"
        for plan in plans
        if plan.new_rows
    ]
