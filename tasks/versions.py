"""The versions of a subset in an output folder, and which of them is the latest.

::

    <output>/<subset>                              the latest version: a link
    <output>/.versions/<subset>/v<number>-<key>/   each version that is kept, a whole subset

A place that has no links, such as an object store, has in the link's stead a file that holds what the link would. Both
change in one step, so who follows the link finds one whole version or another, and who has followed it keeps it.
"""

import errno
import os
import re
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple
from uuid import uuid4

from upath import UPath

from tasks.files import is_local, remove, write_text
from tasks.published import MANIFEST, NotASubset

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

    def next(self, key: str) -> UPath:
        """Return the folder of the version that comes after all others."""
        versions = self.all()
        return self.folder / f"v{versions[-1].number + 1 if versions else 1}-{key}"

    def latest(self) -> UPath | None:
        """Return the folder of the latest version; None where none was published.

        Raises:
            NotASubset: if something else is in the way.
        """
        target = _followed(self.link)
        there = os.path.lexists(str(self.link)) if is_local(self.link) else self.link.exists()
        if target is None and there:
            told = "is in the way of versions: it was put there by hand, or by a release that kept none; move it away"
            raise NotASubset(f"{self.link}: {told}")
        return target

    def point_to(self, version: UPath) -> None:
        """Make ``version`` the latest, in one step.

        Raises:
            NotASubset: if something else is in the way.
        """
        self.latest()
        target = f"{_FOLDER}/{self.folder.name}/{version.name}"
        if is_local(self.link):
            link = Path(str(self.link))
            temporary = link.with_name(f".{link.name}.{os.getpid()}-{uuid4().hex[:8]}.tmp")
            try:
                temporary.symlink_to(target, target_is_directory=True)
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
                write_text(self.link, target)  # a file system without links
            else:
                temporary.replace(link)
        else:
            write_text(self.link, target)

    def prune(self, latest: UPath, former: UPath | None, kept: int) -> list[str]:
        """Remove the versions that are not kept, and what was given up in the making.

        Args:
            latest: stays.
            former: was the latest before, and stays next: somebody may be reading it.
            kept: how many stay in all, the newest of the others last.

        Returns:
            The names of the removed ones.
        """
        others = [version.folder for version in self.all() if version.folder != latest]
        whole = [folder for folder in others if (folder / MANIFEST).exists()]
        whole.sort(key=lambda folder: folder == former)  # the newest are at the end, and it behind them
        spared = whole[1 - kept :] if kept > 1 else []
        gone = [folder for folder in others if folder not in spared]
        for folder in gone:
            (folder / MANIFEST).unlink(missing_ok=True)  # first: a version that lacks files is no subset
            remove(folder)
        return [folder.name for folder in gone]


def followed(directory: UPath) -> UPath:
    """Return the folder of the version that ``directory`` is a link to, else ``directory``.

    Whoever reads more than one file follows the link first: it may lead to another version at any moment.
    """
    return _followed(directory) or directory


def _followed(link: UPath) -> UPath | None:
    """Return the folder that ``link`` leads to; None if it is no link of ours."""
    versions = link.parent / _FOLDER / link.name
    if is_local(link):
        path = Path(str(link))
        if path.is_symlink():
            # Somebody may have made it by hand, to go back: then it need not be written as we write it.
            target = path.parent.resolve() / path.readlink()
            ours = target.parent == Path(str(versions.parent)).resolve() / link.name
            return versions / target.name if ours and _VERSION.fullmatch(target.name) else None
    try:
        text = _text_of(link)
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return None
    folder, _, version = text.rpartition("/")
    return versions / version if folder == f"{_FOLDER}/{link.name}" and _VERSION.fullmatch(version) else None


def _text_of(link: UPath) -> str:
    """Return what a file holds that is no longer than a link's; of a longer one, and of a folder, nothing."""
    if is_local(link):
        found = link.stat()
        return link.read_text(encoding="utf-8") if S_ISREG(found.st_mode) and found.st_size <= _LONGEST_LINK else ""
    # Not UPath's methods: they take a store that does not answer for one that has no such object.
    about = link.fs.info(link.path)
    short = about["type"] == "file" and about["size"] <= _LONGEST_LINK
    return str(link.fs.cat_file(link.path).decode()) if short else ""
