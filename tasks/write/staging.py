"""Where a subset is built, out of readers' sight, and how it takes its place in one rename."""

import re
from contextlib import suppress
from pathlib import PurePosixPath

from pydantic import ValidationError
from upath import UPath

from schemas.manifest import Manifest
from schemas.recipe import fingerprint
from schemas.reports import DataFile
from tasks.files import is_local, remove, sweep, write_text
from tasks.published import MANIFEST, RUN, NotASubset, OtherVersion, read_manifest

_PUBLISHING = ".publishing"
"""Marks a folder of an object store into which a subset is being copied: what lies there is ours, and not complete."""


class Staging:
    """The folder of one subset in the making, ``<output>/.staging/<subset>-<key>``.

    The key says what is being built, so a killed run's files serve the next run of the same recipe and no other.
    """

    def __init__(self, output: UPath, draft: Manifest):
        self._draft = draft
        self.key = f"{draft.subset}-{fingerprint(draft.model_dump(mode='json'))[:16]}"
        self.folder = output / ".staging" / self.key
        self.subset = self.folder / "subset"
        self.final = output / draft.subset

    def published(self) -> bool:
        """Return whether the subset in place is this one already, with all its files.

        Raises:
            NotASubset: if a folder without a manifest is in the way.
        """
        if not self.final.exists() or (self.final / _PUBLISHING).exists():
            return False
        try:
            manifest = read_manifest(self.final)
        except OtherVersion:
            return False
        same = manifest.model_copy(update={"files": (), "seal": ""}) == self._draft
        return same and not missing_files(self.final, manifest)

    def open(self) -> None:
        """Make the folder, and remove what killed runs left half-written in it."""
        (self.subset / "data" if self._draft.mode == "data" else self.subset).mkdir(parents=True, exist_ok=True)
        for folder in (self.subset, self.subset / "data", self.folder):
            sweep(folder)

    def finished(self, path: str) -> DataFile | None:
        """Return the record of a data file that an earlier run finished, if the file is as it was."""
        try:
            record = DataFile.model_validate_json(self._record(path).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValidationError):
            return None
        file = self.subset / path
        return record if file.exists() and file.stat().st_size == record.byte_length else None

    def record(self, file: DataFile) -> None:
        """Note that ``file`` is finished."""
        write_text(self._record(file.path), file.model_dump_json())

    def _record(self, path: str) -> UPath:
        return self.folder / "records" / f"{PurePosixPath(path).name}.json"

    def publish(self) -> None:
        """Put the finished subset in its place; an older one of the same name gives way, and is then removed."""
        if missing := missing_files(self.subset, read_manifest(self.subset)):
            raise NotASubset(f"{self.subset}: {', '.join(missing)} missing; a subset is published whole or not at all")
        if is_local(self.final):
            former = self.folder / "former"
            if self.final.exists():
                remove(former)  # left by a run that was killed
                self.final.rename(former)
            self.subset.rename(self.final)
        else:
            self._copy_into_place()
        self.clear()

    def _copy_into_place(self) -> None:
        """Publish where no folder can be renamed: without a manifest it is no subset; that goes first, comes last."""
        marker = self.final / _PUBLISHING
        marker.write_bytes(b"")
        (self.final / MANIFEST).unlink(missing_ok=True)
        former = [path for path in self.final.rglob("*") if path.is_file() and path != marker]
        for path in former:
            path.unlink()
        names = sorted(file.path for file in read_manifest(self.subset).files)
        for name in (*names, RUN, MANIFEST):
            self.final.fs.copy((self.subset / name).path, (self.final / name).path)
        marker.unlink()

    def clear(self) -> None:
        """Remove what this and other recipes left staged for a subset of this name; what cannot go may stay."""
        staged = self.folder.parent
        for folder in list(staged.iterdir()) if staged.is_dir() else ():
            if re.fullmatch(rf"{self._draft.subset}-[0-9a-f]{{16}}", folder.name):
                remove(folder)
        if is_local(staged):
            with suppress(OSError):  # other subsets are in the making
                staged.rmdir()


def missing_files(directory: UPath, manifest: Manifest) -> list[str]:
    """Return the files of ``manifest`` that are not in ``directory`` with their size."""
    sizes = {file.path: file.byte_length for file in manifest.files}
    paths = {name: directory / name for name in sizes}
    return [name for name, path in paths.items() if not (path.is_file() and path.stat().st_size == sizes[name])]


def refuse_strangers(directory: UPath) -> None:
    """Raise :class:`NotASubset` if ``directory`` exists and is no subset: it would be in the way of one."""
    if directory.exists() and not (directory / _PUBLISHING).exists():
        with suppress(OtherVersion):  # it gives way like any former version
            read_manifest(directory)
