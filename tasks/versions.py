"""The versions of a subset in an output folder, and which of them is the latest.

::

    <output>/<subset>                              the latest version: a link
    <output>/.versions/<subset>/v<number>-<key>/   each version that is kept, a whole subset

A place that has no links, such as an object store, has in the link's stead a file that holds what the link would. Both
change in one step, so who follows the link finds one whole version or another, and who has followed it keeps it.
"""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from upath import UPath

from tasks.files import is_local, remove, write_text
from tasks.published import MANIFEST, NotASubset, OtherVersion, read_manifest

_FOLDER = ".versions"
_VERSION = re.compile(r"v(?P<number>\d+)-(?P<key>[0-9a-f]{16})")
_LONGEST_LINK = 1_000  # more is no link of ours [bytes]


class Version(NamedTuple):
    """One version of a subset, finished or in the making."""

    number: int  # 1 for the first that was published in its place
    key: str  # 16 hex digits that stand for all that it is made of
    folder: UPath


class Versions:
    """The versions of one subset. Only the run that holds the output folder changes anything here."""

    def __init__(self, output: UPath, subset: str):
        self.link = output / subset
        self.folder = output / _FOLDER / subset

    def all(self) -> list[Version]:
        """Return the versions, the oldest first; those without a manifest are in the making, or were given up."""
        folders = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(
            Version(int(match["number"]), match["key"], folder)
            for folder in folders
            if (match := _VERSION.fullmatch(folder.name))
        )

    def place(self, key: str) -> UPath:
        """Return the folder of the version ``key``: the one that is there, or the next one's."""
        versions = self.all()
        for version in versions:
            if version.key == key:
                return version.folder
        return self.folder / f"v{versions[-1].number + 1 if versions else 1}-{key}"

    def latest(self) -> UPath | None:
        """Return the folder of the latest version; None where none was published.

        Raises:
            NotASubset: if something else is in the way.
        """
        target = _followed(self.link)
        if target is not None:
            return target
        if self.link.is_dir():  # published by a release that kept no versions, or put there by hand
            with suppress(OtherVersion):
                read_manifest(self.link)
            return self.link
        if self.link.exists() or (is_local(self.link) and Path(str(self.link)).is_symlink()):
            raise NotASubset(f"{self.link}: not a subset, and in the way of one")
        return None

    def point_to(self, version: UPath) -> None:
        """Make ``version`` the latest, in one step."""
        if self.latest() == self.link:
            self._adopt()
        target = f"{_FOLDER}/{self.folder.name}/{version.name}"
        if is_local(self.link):
            link = Path(str(self.link))
            temporary = link.with_name(f".{link.name}.{os.getpid()}-{uuid4().hex[:8]}.tmp")
            try:
                temporary.symlink_to(target, target_is_directory=True)
            except OSError:  # a file system without links
                write_text(self.link, target)
            else:
                temporary.replace(link)
        else:
            write_text(self.link, target)

    def prune(self, kept: int) -> list[str]:
        """Remove all versions but the latest and the newest others, ``kept`` in all, and what was given up.

        Returns:
            The names of the removed ones.
        """
        latest = self.latest()
        others = [version for version in self.all() if version.folder != latest]
        whole = [version for version in others if (version.folder / MANIFEST).exists()]
        spared = {version.folder.name for version in whole[len(whole) - (kept - 1) :]} if kept > 1 else set()
        gone = [version.folder for version in others if version.folder.name not in spared]
        for folder in gone:
            (folder / MANIFEST).unlink(missing_ok=True)  # first: a version that lacks files is no subset
            remove(folder)
        return [folder.name for folder in gone]

    def _adopt(self) -> None:
        """Make a version of the plain folder that is in the link's place."""
        versions = self.all()
        number = versions[-1].number + 1 if versions else 1
        folder = self.folder / f"v{number}-{0:016x}"
        if is_local(folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.link.rename(folder)
        else:
            self.link.fs.mv(self.link.path, folder.path, recursive=True)


def followed(directory: UPath) -> UPath:
    """Return the folder of the version that ``directory`` is a link to, else ``directory``.

    Whoever reads more than one file follows the link first: it may lead to another version at any moment.
    """
    return _followed(directory) or directory


def _followed(link: UPath) -> UPath | None:
    """Return the folder that ``link`` leads to; None if it is no link of ours."""
    target = None
    if is_local(link) and Path(str(link)).is_symlink():
        target = str(Path(str(link)).readlink())
    else:
        with suppress(OSError, UnicodeDecodeError):
            if link.is_file() and link.stat().st_size <= _LONGEST_LINK:
                target = link.read_text(encoding="utf-8")
    if target is None:
        return None
    folder, _, version = target.rpartition("/")
    ours = folder == f"{_FOLDER}/{link.name}" and _VERSION.fullmatch(version)
    return link.parent / _FOLDER / link.name / version if ours else None
