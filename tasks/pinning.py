"""A recipe made exact: what its names stand for now."""

from pathlib import Path

from upath import UPath

from schemas.errors import CurationError
from schemas.recipe import Recipe
from schemas.scorer import Scorer
from schemas.source import Source
from schemas.subset import Subset
from schemas.thresholds import NamedFile
from tasks.embed.checkpoint import folder_of, pinned_checkpoint
from tasks.files import is_local, sha256_of
from tasks.select.lists import list_file
from tasks.source.listing import pin


class FileChanged(CurationError):
    """A file that the recipe names is missing, or not the one that it says."""


def pinned(recipe: Recipe) -> Recipe:
    """Return ``recipe`` with the revisions of its source, reference sets and scorers, and the SHA-256 of named files.

    Raises:
        CheckpointNotFound: as :func:`tasks.embed.checkpoint.pinned_checkpoint`.
        SourceError: as :func:`tasks.source.listing.pin`.
        FileChanged: if a named file cannot be read, or has another SHA-256 than the recipe says.
    """
    references = [pin(source) for source in recipe.deduplication.references]
    deduplication = recipe.deduplication.model_copy(update={"references": references})
    subsets = [pinned_subset(subset) for subset in recipe.subsets]
    return recipe.model_copy(
        update={
            "source": pin(recipe.source),
            "scorers": [pinned_checkpoint(scorer) for scorer in recipe.scorers],
            "deduplication": deduplication,
            "subsets": subsets,
        }
    )


def rooted(recipe: Recipe) -> Recipe:
    """Return ``recipe`` with all local paths absolute, so that it says the same wherever it is read."""
    deduplication = recipe.deduplication
    references = [_rooted_source(source) for source in deduplication.references]
    return recipe.model_copy(
        update={
            "source": _rooted_source(recipe.source),
            "scorers": [_rooted_scorer(scorer) for scorer in recipe.scorers],
            "deduplication": deduplication.model_copy(update={"references": references}),
            "subsets": [_rooted_subset(subset) for subset in recipe.subsets],
            "output": recipe.output.model_copy(update={"dir": _rooted_path(recipe.output.dir)}),
            "workspace": _rooted_path(recipe.workspace),
        }
    )


def _rooted_source(source: Source) -> Source:
    if source.kind == "hub" or "://" in source.path:
        return source
    return source.model_copy(update={"path": str(Path(source.path).expanduser().absolute())})


def _rooted_scorer(scorer: Scorer) -> Scorer:
    folder = folder_of(scorer)
    return scorer if folder is None else scorer.model_copy(update={"model": str(folder.absolute())})


def _rooted_subset(subset: Subset) -> Subset:
    named = {key: getattr(subset, key) for key in ("area", "include", "exclude")}
    known = {
        key: file.model_copy(update={"path": _rooted_path(file.path)})
        for key, file in named.items()
        if file is not None
    }
    return subset.model_copy(update=known)


def _rooted_path(path: UPath) -> UPath:
    return path.absolute() if is_local(path) else path


def pinned_subset(subset: Subset) -> Subset:
    """Return ``subset`` with the SHA-256 of the files that it names; of a former subset's folder, the version's index.

    Raises:
        FileChanged: as :func:`pinned`.
    """
    known: dict[str, NamedFile] = {}
    for key in ("area", "include", "exclude"):
        named: NamedFile | None = getattr(subset, key)
        if named is not None:
            known[key] = _pin_file(named, f"subset {subset.name}: {key}")
    return subset.model_copy(update=known)


def _pin_file(named: NamedFile, key: str) -> NamedFile:
    path: UPath = list_file(named.path)
    try:
        found = sha256_of(path)
    except OSError as error:
        raise FileChanged(f"{key}.path: {path}: {error.strerror or error}") from error
    if named.sha256 not in (None, found):
        raise FileChanged(f"{key}: {path}: found SHA-256 {found}, expected {named.sha256}")
    return named.model_copy(update={"path": path, "sha256": found})
