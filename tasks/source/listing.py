"""Which shards a source has: its layout recognised from the names of its files, whatever holds them."""

import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fsspec.utils import glob_translate
from upath import UPath

from schemas.recipe import Recipe, fingerprint
from schemas.source import FileSource, HubSource, Source, SourceFormat
from tasks.files import is_local
from tasks.source.formats.classfolders import is_image
from tasks.source.places.fetch import FetchCache
from tasks.source.places.hub import join_url, resolve, split_url
from tasks.source.places.trees import MISSING, File, HubTree, Tree, open_tree
from tasks.source.shards import Shard, SourceError

_SUFFIXES: dict[str, SourceFormat] = {
    ".arrow": "arrow",
    ".parquet": "parquet",
    ".tar": "webdataset",
    ".tar.gz": "webdataset",
    ".tgz": "webdataset",
}
_METADATA = re.compile(r"(^|/)metadata\.(csv|jsonl|parquet)$")
_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Words in file names that name a split, as the Hub and ``datasets`` read them."""


def pin(source: Source) -> Source:
    """Return ``source`` with its revision made exact: on the Hub, the commit that a branch or tag stands for now.

    Raises:
        SourceError: if the Hub has no such data set or revision, or does not let you in.
    """
    if isinstance(source, HubSource):
        return source.model_copy(update={"revision": resolve(source.path, source.revision)})
    if source.path.startswith("hf://"):
        address = split_url(source.path)
        commit = resolve(address.dataset_id, address.revision)
        return source.model_copy(update={"path": join_url(address._replace(revision=commit)), "revision": commit})
    return source


def shards_of(recipe: Recipe) -> tuple[Shard, ...]:
    """Return the shards of the recipe's source; those that lie elsewhere will be fetched beside the workspace.

    Raises:
        SourceError: as :func:`list_shards`.
    """
    return list_shards(recipe.source, fetch_cache(recipe))


def fetch_cache(recipe: Recipe) -> FetchCache:
    """Return where fetched shards lie."""
    return FetchCache(Path(str(local_folder(recipe.workspace))) / "fetched", recipe.engine.fetched_bytes)


def local_folder(folder: UPath) -> UPath:
    """Return where bytes of pictures lie for a while: in ``folder`` if it is local, else in the user's cache folder."""
    if is_local(folder):
        return folder
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return UPath(caches / "git10m" / fingerprint(str(folder))[:16])


def list_shards(source: Source, fetched: FetchCache | None = None) -> tuple[Shard, ...]:
    """Return the shards of ``source``'s split, in order; nothing is fetched but listings.

    Args:
        source: the source; one on the Hub is :func:`pin`-ned first if it is not.
        fetched: where shards lie once they are fetched; needed where the source is not local.

    Raises:
        SourceError: if there is no such source or split, it holds no shard, or its layout is not clear.
    """
    tree, pattern = _tree(source)
    files = {file.path: file for file in tree.files()}
    if pattern is not None:
        matches = re.compile(glob_translate(pattern)).match
        files = {path: file for path, file in files.items() if matches(path)}
        if not files:
            raise SourceError(f"{tree}: no file matches {pattern!r}")
    form, chosen = _recognise(tree, files, source, named=pattern is not None)
    prefix = f"{source.split}/" if form == "save_to_disk" and f"{source.split}/state.json" in files else ""
    shard_format = "arrow" if form == "save_to_disk" else form
    return tuple(_shard(tree, file, file.path.removeprefix(prefix), shard_format, fetched) for file in chosen)


def _tree(source: Source) -> tuple[Tree, str | None]:
    match source:
        case HubSource():
            return HubTree(source.path, resolve(source.path, source.revision)), None
        case FileSource():
            return open_tree(source.path)


def _shard(tree: Tree, file: File, name: str, form: str, fetched: FetchCache | None) -> Shard:
    local = tree.local(file)
    if local is not None:
        return Shard(name, local, form)
    remote = tree.remote(file)
    if form == "imagefolder":
        raise SourceError(f"{tree}: an image folder is read from a local disk only; copy it, or pack it as WebDataset")
    if fetched is None or remote is None:
        raise AssertionError(f"{tree}: a source that is not local needs a place for what is fetched")
    return Shard(name, fetched.path(remote), form, remote, fetched)


def _recognise(
    tree: Tree, files: dict[str, File], source: Source, *, named: bool
) -> tuple[SourceFormat, Sequence[File]]:
    if not files:
        raise SourceError(f"{tree}: the source is empty: no file")
    wanted = source.format
    if wanted in (None, "save_to_disk") and any(path in files for path in ("dataset_dict.json", "state.json")):
        return "save_to_disk", _saved_files(tree, files, source)
    candidates: dict[SourceFormat, list[File]] = {}
    for path, file in files.items():
        form: SourceFormat | None = "imagefolder" if _METADATA.search(path) else _format_of(path)
        if form is not None:
            candidates.setdefault(form, []).append(file)
    if wanted is not None:
        candidates = {form: found for form, found in candidates.items() if form == wanted}
    if not candidates and not named and (folders := _class_folders(files, wanted)):
        return "imagefolder", _of_split(tree, folders, source.split)
    if not candidates:
        shown = ", ".join(sorted(files)[:3])
        expected = (
            wanted
            or "a datasets.save_to_disk tree, *.arrow, *.parquet, *.tar, or images with metadata.csv or in sub-folders"
        )
        raise SourceError(f"{tree}: found {len(files)} files ({shown}, ...), expected {expected}")
    if len(candidates) > 1:
        raise SourceError(f"{tree}: found {' and '.join(sorted(candidates))} files; say which in source.format")
    [(known, found)] = candidates.items()
    return known, found if named else _of_split(tree, found, source.split)


def _format_of(path: str) -> SourceFormat | None:
    name = Path(path).name.lower()
    return next((form for suffix, form in _SUFFIXES.items() if name.endswith(suffix)), None)


def _class_folders(files: Iterable[str], wanted: SourceFormat | None) -> list[File]:
    """Return the folders whose sub-folders are classes: those that are called as splits, if all are, else the root.

    Images in no sub-folder are a source only where an image folder is ``wanted``: they may lie beside anything.
    """
    images = [path for path in files if is_image(path)]
    if not images or not (wanted == "imagefolder" or (wanted is None and any("/" in path for path in images))):
        return []
    words = {word for aliases in _SPLITS.values() for word in aliases}
    outermost = {path.partition("/")[0] for path in images}
    splits = {folder for folder in outermost if folder.lower() in words}
    return [File(folder, 0, "") for folder in (sorted(splits) if splits == outermost else ["."])]


def _of_split(tree: Tree, files: Sequence[File], split: str) -> Sequence[File]:
    """Return the files of ``split``, as the words in their names tell; all, where no name tells of any split."""
    words = {word: name for name, aliases in _SPLITS.items() for word in aliases} | {split: split}
    told: dict[str, list[File]] = {}
    for file in files:
        parts = re.split(r"[/._-]", file.path.lower())
        names = {words[part] for part in parts if part in words}
        for name in names or {""}:
            told.setdefault(name, []).append(file)
    if set(told) == {""} and split == "train":
        return told[""]  # no name tells of a split: one split, which `datasets` calls train
    if "" in told and len(told) > 1:
        raise SourceError(
            f"{tree}: some names tell of a split ({', '.join(sorted(filter(None, told)))}), and some of none, such as "
            f"{told[''][0].path}; name the files of yours by a glob"
        )
    canonical = words.get(split, split)
    if canonical not in told:
        raise SourceError(f"{tree}: no split {split!r}; found {', '.join(sorted(filter(None, told))) or 'none'}")
    return told[canonical]


def _saved_files(tree: Tree, files: dict[str, File], source: Source) -> list[File]:
    """Return the shards of a ``datasets.save_to_disk`` tree, as its ``state.json`` lists them."""
    folder = ""
    if "dataset_dict.json" in files:
        splits = _read_json(tree, "dataset_dict.json").get("splits", [])
        if source.split not in splits:
            raise SourceError(f"{tree}: no split {source.split!r}; found {', '.join(map(str, splits)) or 'none'}")
        folder = f"{source.split}/"
    state = f"{folder}state.json"
    try:
        names = [str(entry["filename"]) for entry in _read_json(tree, state)["_data_files"]]
    except (KeyError, TypeError) as error:
        raise SourceError(f"{tree}: {state}: no list of data files; expected _data_files[].filename") from error
    if not names:
        raise SourceError(f"{tree}: the source is empty: {state} lists no data file")
    if len(set(names)) < len(names):
        raise SourceError(f"{tree}: {state}: a data file is listed twice")
    for name in names:
        if Path(name).name != name:
            raise SourceError(f"{tree}: {state}: data file {name!r} is outside the split's folder")
    # A listed file that is missing is one bad shard among good ones: it is listed all the same.
    return [files.get(folder + name, File(folder + name, 0, MISSING)) for name in names]


def _read_json(tree: Tree, path: str) -> dict[str, Any]:
    try:
        data = json.loads(tree.read(path))
    except (OSError, ValueError) as error:
        raise SourceError(f"{tree}: {path}: {error}; expected JSON written by datasets.save_to_disk") from error
    if not isinstance(data, dict):
        raise SourceError(f"{tree}: {path}: found {type(data).__name__}, expected a JSON object")
    return data
