"""A version of a subset in the making: resumed where a killed run left it, complete with its manifest, published."""

import re
from contextlib import suppress
from pathlib import PurePosixPath

from pydantic import ValidationError
from upath import UPath

from schemas.manifest import Manifest
from schemas.recipe import fingerprint
from schemas.reports import DataFile
from tasks.files import is_local, remove, sweep, write_text
from tasks.locks import Held
from tasks.published import MANIFEST, NotASubset, read_manifest
from tasks.versions import Versions


class Staging:
    """The folder of one version, ``subset``, and ``<output>/.staging/<subset>-<key>``, which tells what is done of it.

    The key says what is being built, so a killed run's files serve the next run of the same recipe and no other. No
    link leads to the version until it is published, and without a manifest it is no subset.
    """

    def __init__(self, output: UPath, draft: Manifest):
        self._draft = draft
        self._versions = Versions(output, draft.subset)
        key = fingerprint(draft.model_dump(mode="json"))[:16]
        self.name = draft.subset
        self.key = f"{draft.subset}-{key}"
        self.folder = output / ".staging" / self.key
        # One that has a manifest and lacks a file was published, and is damaged: it is left as it is.
        usable = [
            version.folder
            for version in self._versions.all()
            if version.key == key and (_whole(version.folder, draft) or not (version.folder / MANIFEST).exists())
        ]
        self.subset = usable[-1] if usable else self._versions.next(key)

    def complete(self) -> bool:
        """Return whether the version is there, with all its files."""
        return _whole(self.subset, self._draft)

    def published(self) -> bool:
        """Return whether the latest version is this one, with all its files.

        Raises:
            NotASubset: if something that is no subset is in the way.
        """
        return self._versions.latest() == self.subset and self.complete()

    def open(self) -> None:
        """Make the folder, and remove what killed runs left half-written in it."""
        (self.subset / "data" if self._draft.mode == "data" else self.subset).mkdir(parents=True, exist_ok=True)
        parts = (self.subset, self.subset / "data", self.subset / "figures")
        for folder in (*parts, self.folder, self._versions.link.parent):
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

    def publish(self, keep_versions: int, held: Held) -> UPath:
        """Make the complete version the latest, and remove those that are not kept; return where readers find it.

        Args:
            keep_versions: versions of the subset that are kept, this one included.
            held: the hold on the output folder.

        Raises:
            NotASubset: if the version lacks a file, or something else is in the place of the link.
            LeaseLost: if another run holds the output folder by now.
        """
        if missing := missing_files(self.subset, read_manifest(self.subset)):
            raise NotASubset(f"{self.subset}: {', '.join(missing)} missing; a subset is published whole or not at all")
        former = self._versions.latest()
        held.check()
        self._versions.point_to(self.subset)
        self.tidy(keep_versions, former)
        return self.directory

    def tidy(self, keep_versions: int, former: UPath | None = None) -> None:
        """Remove the versions that are not kept beside this one, the latest, and what killed runs left of others."""
        self._versions.prune(self.subset, former, keep_versions)
        self.clear()

    @property
    def directory(self) -> UPath:
        """Where readers find the published version: by the link, where that is one that every program follows."""
        link = self._versions.link
        return link if link.is_dir() else self.subset

    def clear(self) -> None:
        """Remove what this and other recipes noted of unfinished versions of the subset; what cannot go may stay."""
        staged = self.folder.parent
        for folder in list(staged.iterdir()) if staged.is_dir() else ():
            if re.fullmatch(rf"{self.name}-[0-9a-f]{{16}}", folder.name):
                remove(folder)
        if is_local(staged):
            with suppress(OSError):  # other subsets are in the making
                staged.rmdir()

    def give_up(self) -> None:
        """Remove the unfinished version."""
        remove(self.subset)
        self.clear()


def _whole(folder: UPath, draft: Manifest) -> bool:
    try:
        manifest = read_manifest(folder)
    except NotASubset:
        return False
    same = manifest.model_copy(update={"files": (), "seal": ""}) == draft
    return same and not missing_files(folder, manifest)


def missing_files(directory: UPath, manifest: Manifest) -> list[str]:
    """Return the files of ``manifest`` that are not in ``directory`` with their size."""
    sizes = {file.path: file.byte_length for file in manifest.files}
    paths = {name: directory / name for name in sizes}
    return [name for name, path in paths.items() if not (path.is_file() and path.stat().st_size == sizes[name])]
