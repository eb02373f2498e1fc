"""Which weights a checkpoint's name stands for now: a commit of the Hub, or the files of a folder."""

import re
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from schemas.errors import CurationError
from schemas.recipe import fingerprint
from schemas.scorer import Checkpoint
from tasks.files import sha256_of
from tasks.source.places.hub import resolve

_C = TypeVar("_C", bound=Checkpoint)
_ID = re.compile(r"[\w.-]+/[\w.-]+")


class CheckpointNotFound(CurationError):
    """There is no such model, or it is another one than the recipe says."""


def folder_of(checkpoint: Checkpoint) -> Path | None:
    """Return the folder that holds the weights; None for a model of the Hub."""
    folder = Path(checkpoint.model).expanduser()
    return folder if folder.is_dir() else None


def pinned_checkpoint(checkpoint: _C) -> _C:
    """Return ``checkpoint`` with the commit that its revision stands for, or the SHA-256 of its folder.

    Raises:
        CheckpointNotFound: if it is neither a folder nor the id of a model, or a folder has another SHA-256 than it
            should.
        SourceError: if the Hub has no such model, or cannot be reached.
    """
    folder = folder_of(checkpoint)
    if folder is None:
        if not _ID.fullmatch(checkpoint.model):
            told = f"{checkpoint.name}: {checkpoint.model}: no such folder"
            raise CheckpointNotFound(f"{told}; expected one, or a model of the Hub: owner/name")
        return checkpoint.model_copy(update={"revision": resolve(checkpoint.model, checkpoint.revision, "model")})
    if not (folder / "config.json").is_file():
        raise CheckpointNotFound(f"{checkpoint.name}: {folder}: no config.json; expected what save_pretrained writes")
    found = sha256_of_folder(folder)
    if checkpoint.sha256 not in (None, found):
        told = f"{checkpoint.name}: {folder}: found SHA-256 {found}, expected {checkpoint.sha256}"
        raise CheckpointNotFound(told)
    return checkpoint.model_copy(update={"sha256": found, "revision": None})


def sha256_of_folder(folder: Path) -> str:
    """Return a SHA-256, in hex, over names and SHA-256 of all files in a folder, hidden ones left out."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    seen = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
    statuses = [(folder / name).stat() for name in seen]
    return _sha256_of_files(folder, tuple(seen), tuple((s.st_size, s.st_mtime_ns, s.st_ino) for s in statuses))


@lru_cache(maxsize=16)
def _sha256_of_files(folder: Path, names: tuple[str, ...], statuses: tuple[tuple[int, ...], ...]) -> str:
    """Return what :func:`sha256_of_folder` does: gigabytes, that one command asks for several times."""
    return fingerprint({name: sha256_of(folder / name) for name in names})
