"""The files of a subset: which are there, and whether they hold the bytes that the manifest says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from upath import UPath

from schemas.manifest import Manifest
from schemas.reports import DataFile
from schemas.tables import INDEX_FILE, REJECTED_FILE
from tasks.files import is_local, sha256_of
from tasks.published import MANIFEST, RUN

_ALWAYS = (INDEX_FILE, REJECTED_FILE, "README.md", "croissant.json")
_REPORT = "report.html"
_DATA = "data/"


def data_files(manifest: Manifest) -> list[DataFile]:
    """Return the data files that the manifest lists."""
    return [file for file in manifest.files if file.path.startswith(_DATA)]


_OF_THE_HUB = (".gitattributes", ".cache/huggingface/")
"""What ``hf download --local-dir`` leaves in a folder beside a data set's own files."""


def present_files(directory: UPath) -> set[str]:
    """Return the paths of all files in ``directory``, relative to it, but for what the Hub's client left there."""
    found = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if not path.is_dir()}
    return {path for path in found if not path.startswith(_OF_THE_HUB)}


def check_listing(manifest: Manifest, present: set[str]) -> Iterator[str]:
    """Yield which files are there or listed and should not be, and which should be and are not."""
    listed = [file.path for file in manifest.files]
    for extra in sorted(present - set(listed) - {MANIFEST, RUN}):
        yield f"{extra}: not in the manifest"
    for path in listed:
        if path not in present:
            yield f"{path}: missing"
    for path in sorted({path for path in listed if listed.count(path) > 1}):
        yield f"{MANIFEST}: files: {path} is listed more than once"
    for path in _ALWAYS:
        if path not in listed:
            yield f"{MANIFEST}: files: {path} is not listed"
    if manifest.mode == "index":
        for path in listed:
            if path.startswith(_DATA) or path == _REPORT:
                yield f"{path}: holds pictures or captions, which a subset in mode index does not"


@contextmanager
def at_hand(path: UPath) -> Iterator[Path]:
    """Keep ``path`` on this machine for the length of a ``with`` block: a file of an object store is fetched."""
    if is_local(path):
        yield Path(str(path))
        return
    with TemporaryDirectory(prefix="git10m-") as folder:
        copy = Path(folder) / path.name
        path.fs.get_file(path.path, str(copy))
        yield copy


def check_bytes(path: Path, file: DataFile) -> list[str]:
    """Return whether ``path`` has not the size and digest of ``file``, in words."""
    try:
        size = path.stat().st_size
        if size != file.byte_length:
            return [f"{file.path}: found {size:,} bytes, expected {file.byte_length:,}"]
        found = sha256_of(path)
    except OSError as error:
        return [f"{file.path}: {error}"]
    return [] if found == file.sha256 else [f"{file.path}: found SHA-256 {found}, expected {file.sha256}"]
