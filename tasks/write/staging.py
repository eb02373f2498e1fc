"""Where a subset is built, out of readers' sight, and how it takes its place in one rename."""

import shutil
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from schemas.errors import CurationError
from schemas.manifest import Manifest
from schemas.recipe import fingerprint
from schemas.reports import DataFile
from tasks.files import sweep, write_text

MANIFEST = "manifest.json"
RUN = "run.json"


class NotASubset(CurationError):
    """The place of a subset holds something else, which is left as it is."""


class Staging:
    """The folder of one subset in the making, ``<output>/.staging/<subset>-<key>``.

    The key says what is being built, so a killed run's files serve the next run of the same recipe and no other.
    """

    def __init__(self, output: Path, draft: Manifest):
        self._output = output
        self._draft = draft
        self._folder = output / ".staging" / f"{draft.subset}-{fingerprint(draft.model_dump(mode='json'))[:16]}"
        self.subset = self._folder / "subset"
        self.final = output / draft.subset

    def published(self) -> bool:
        """Return whether the subset in place is this one already.

        Raises:
            NotASubset: if a folder without a manifest is in the way.
        """
        if not self.final.exists():
            return False
        manifest = read_manifest(self.final)
        return manifest.model_copy(update={"files": (), "seal": ""}) == self._draft

    def open(self) -> None:
        """Make the folder, and remove what killed runs left half-written in it."""
        (self.subset / "data").mkdir(parents=True, exist_ok=True)
        for folder in (self.subset, self.subset / "data", self._folder):
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

    def _record(self, path: str) -> Path:
        return self._folder / "records" / f"{Path(path).name}.json"

    def publish(self) -> None:
        """Put the finished subset in its place; an older one of the same name gives way, and is then removed."""
        if not (self.subset / MANIFEST).exists():
            raise NotASubset(f"{self.subset}: no manifest; a subset is published with its manifest or not at all")
        former = self._folder / "former"
        if self.final.exists():
            self.final.rename(former)
        self.subset.rename(self.final)
        shutil.rmtree(self._folder)
        with suppress(OSError):  # other subsets are in the making
            self._folder.parent.rmdir()


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of the subset in ``directory``, its seal checked.

    Raises:
        NotASubset: if there is none, or it does not hold.
    """
    path = directory / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotASubset(f"{directory}: no {MANIFEST}, so this is not a subset") from error
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise NotASubset(f"{path}: {error}") from error
