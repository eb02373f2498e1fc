"""What ``curate`` would do with a recipe, told without writing to its workspace or output."""

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

from upath import UPath

from schemas.plan import Plan
from schemas.recipe import Recipe
from tasks.embed.reuse import known_embeddings
from tasks.pinning import pinned
from tasks.planning.disks import lacks_of_room, plan_disks
from tasks.planning.duplicates import find
from tasks.planning.known import Known, describe_source, look_up
from tasks.planning.subsets import plan_subset
from tasks.planning.vectors import missing_vectors, plan_scorers
from tasks.select.basis import Basis
from tasks.source.preflight import refuse_other_columns
from tasks.source.read import may_lie_in_place
from tasks.source.shards import Shard, SourceError
from tasks.write.schema import data_schema


def plan_run(recipe: Recipe, *, search: bool = False) -> Plan:
    """Return what a run of ``recipe`` would do now.

    The functions of the run itself tell it, from what the workspace holds; what they have to write goes to a temporary
    folder. No shard is read, but for the schemas of three where no shard was ever scanned.

    Args:
        recipe: the recipe.
        search: look for near-duplicates that are not in the workspace however long it takes.

    Raises:
        SourceError: if the source or a reference set is missing, or is not what the recipe says.
    """
    recipe = pinned(recipe)
    recipes = [recipe, *(recipe.model_copy(update={"source": other}) for other in recipe.deduplication.references)]
    keys = ["source", *(f"deduplication.references.{number}" for number in range(len(recipes) - 1))]
    everything = [look_up(one, key) for one, key in zip(recipes, keys, strict=True)]
    sources = [describe_source(one, known) for one, known in zip(recipes, everything, strict=True)]
    problems = [line for one, known in zip(recipes, everything, strict=True) for line in _refusals(one, known)]
    source, *references = everything
    with TemporaryDirectory(prefix="git10m-") as name:
        folder = UPath(Path(name))
        scorers = plan_scorers(recipe, source)
        embedded = known_embeddings(recipe, source.scan) or ()
        found = find(recipe, source, references, embedded, folder, search=search)
        estimate = (
            *(line for one, known in zip(recipes, everything, strict=True) for line in _missing_rows(one, known)),
            *missing_vectors(scorers),
            *found.left_out,
        )
        elsewhere = recipe.model_copy(update={"workspace": folder})
        target = cache(partial(data_schema, source.scan, text=recipe.output.text is not None))
        basis = None if found.report is None else Basis(elsewhere, source.scan, found.report, embedded)
        subsets = [plan_subset(recipe, subset, source, basis, target, exact=not estimate) for subset in recipe.subsets]
    laid_aside = not all(map(may_lie_in_place, source.shards))
    plans = [subset.plan for subset in subsets]
    disks = plan_disks(recipe, sources, plans, scorers, exact=not estimate, laid_aside=laid_aside)
    problems += [*found.problems, *(line for subset in subsets for line in subset.problems)]
    problems += lacks_of_room(recipe, everything, disks)
    return Plan(
        source=sources[0],
        references=tuple(sources[1:]),
        scorers=scorers,
        duplicates=found.plan,
        subsets=tuple(subset.plan for subset in subsets),
        disks=disks,
        fetched_limit_bytes=recipe.engine.fetched_bytes,
        estimate=estimate,
        problems=tuple(dict.fromkeys(problems)),
    )


def _refusals(recipe: Recipe, known: Known) -> list[str]:
    """Return why a run would not go on after its scan, or refuse to scan."""
    scan, told = known.scan, []
    if scan.quarantined and recipe.source.on_bad_shard == "fail":
        told += [bad.error for bad in scan.quarantined]
        told.append(
            f"{len(scan.quarantined)} of {len(known.shards)} shards cannot be read; mend or fetch them again, or set "
            f"{known.key}.on_bad_shard to 'publish'"
        )
    if known.complete and not scan.rows:
        told.append(f"{recipe.source.path}: the source is empty: no row in {len(known.shards)} shards")
    if not scan.shards and (readable := _readable_in_place(known.new)):
        try:
            refuse_other_columns(recipe, readable)
        except SourceError as error:
            told.append(str(error))
    return told


def _readable_in_place(shards: Sequence[Shard]) -> list[Shard]:
    return [shard for shard in shards if shard.remote is None or shard.format in ("arrow", "parquet")]


def _missing_rows(recipe: Recipe, known: Known) -> list[str]:
    """Return what keeps the numbers from being exact: rows that nobody has seen."""
    which, told = f"{len(known.shards):,} shards of {known.key}", []
    if not known.complete:
        told.append(f"{len(known.new):,} of {which} are not scanned yet")
    elif not known.scan.rows:
        told.append(f"the {which} have no row that can be read")
    if known.scan.quarantined and recipe.source.on_bad_shard == "fail":
        told.append(f"{len(known.scan.quarantined):,} of {which} cannot be read, or not to their end")
    return told
