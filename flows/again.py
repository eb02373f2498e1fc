"""A run that would find nothing new, told without one: Prefect takes longer to start than it takes to see that."""

from schemas.recipe import Recipe
from schemas.reports import CurateReport, DataFile, PublishReport, ReferenceReport, SelectReport, WriteReport
from tasks.deduplicate.known import known_duplicates
from tasks.embed.reuse import known_embeddings
from tasks.locks import DirectoryBusy, exclusive
from tasks.pinning import pinned
from tasks.planning.known import look_up
from tasks.published import read_manifest
from tasks.select.verdicts import known_verdicts
from tasks.source.listing import fetch_cache
from tasks.workspace import remember
from tasks.write.manifest import draft_manifest
from tasks.write.schema import data_schema
from tasks.write.staging import Staging


def nothing_new(recipe: Recipe) -> CurateReport | None:
    """Return the report of a run that finds every shard scanned and every subset published; else None.

    What such a run tidies up is tidied up. Where anything is amiss, None: a run says what it is.

    Raises:
        CurationError: as the flow ``curate``.
    """
    recipe = pinned(recipe)
    scan, *scans = (
        look_up(recipe.model_copy(update={"source": source}))
        for source in (recipe.source, *recipe.deduplication.references)
    )
    if any(known.new or known.scan.quarantined or not known.scan.rows for known in (scan, *scans)):
        return None
    references = tuple(
        ReferenceReport(name=source.name, scan=known.scan)
        for source, known in zip(recipe.deduplication.references, scans, strict=True)
    )
    embedded = known_embeddings(recipe, scan.scan)
    if embedded is None:
        return None
    duplicates = known_duplicates(scan.scan, references, recipe.deduplication, recipe.workspace, embedded)
    if duplicates is None:
        return None
    target = data_schema(scan.scan, text=recipe.output.text is not None)
    published: list[tuple[SelectReport, Staging]] = []
    for subset in recipe.subsets:
        selected = known_verdicts(recipe, subset, scan.scan, duplicates, embedded)
        if selected is None:
            return None
        staging = Staging(recipe.output.dir, draft_manifest(recipe, subset, scan.scan, duplicates, selected, target))
        if not staging.published():
            return None
        published.append((selected, staging))
    try:
        with exclusive(recipe.output.dir, recipe.title):
            for _, staging in published:
                staging.tidy(recipe.output.keep_versions)
    except DirectoryBusy:
        return None
    remember(recipe)
    fetch_cache(recipe).clear()
    subsets = tuple(left_as_it_is(recipe, selected, staging) for selected, staging in published)
    return CurateReport(source=recipe.source.name, scan=scan.scan, deduplicate=duplicates, subsets=subsets)


def left_as_it_is(recipe: Recipe, selected: SelectReport, staging: Staging) -> PublishReport:
    """Return the report on a subset that is published already."""
    return PublishReport(
        select=selected,
        write=written(recipe, selected, files_of(staging)),
        mode=recipe.output.mode,
        version=staging.subset.name,
        directory=staging.directory,
        reused=True,
    )


def files_of(staging: Staging) -> tuple[DataFile, ...]:
    """Return the data files of a version that is there, whole."""
    return tuple(file for file in read_manifest(staging.subset).files if file.image_bytes is not None)


def written(recipe: Recipe, selected: SelectReport, files: tuple[DataFile, ...]) -> WriteReport:
    """Return the report on a subset's data ``files``; in mode ``index`` there are none."""
    full = recipe.output.mode == "data"
    expected = selected.kept_image_bytes if full else 0
    return WriteReport(
        subset=selected.subset,
        expected_rows=selected.kept if full else 0,
        expected_image_bytes=expected if recipe.scan.images else None,
        files=files,
    )
