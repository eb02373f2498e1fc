"""What is wrong, in words: of each kind of fault the first few are named, the others counted."""

import tarfile
from collections.abc import Iterable, Iterator

import pyarrow as pa

from tasks.source.shards import ShardUnreadable

SHOWN = 5
"""Rows named for each fault."""

UNREADABLE = (
    OSError, pa.ArrowException, tarfile.TarError, ShardUnreadable, EOFError, KeyError, MemoryError, OverflowError,
    ValueError,
)  # fmt: skip
"""What readers of damaged files raise."""


class Faults:
    """Faults of one file, by kind."""

    def __init__(self, where: str):
        """``where`` is named before each fault."""
        self._where = where
        self._told: dict[str, list[str]] = {}
        self._count: dict[str, int] = {}

    def add(self, kind: str, told: str) -> None:
        """Take in a fault; ``told`` goes on from the name of the file."""
        self._count[kind] = self._count.get(kind, 0) + 1
        if self._count[kind] <= SHOWN:
            self._told.setdefault(kind, []).append(f"{self._where}: {told}")

    def lines(self) -> Iterator[str]:
        """Yield what is wrong, kind by kind."""
        for kind, told in self._told.items():
            yield from told
            if self._count[kind] > SHOWN:
                yield f"{self._where}: {kind}: {self._count[kind] - SHOWN:,} more"


def some(values: Iterable[object]) -> str:
    """Return the first few of ``values``, and how many more there are.

    >>> some([1, 2, 3, 4, 5, 6, 7])
    '1, 2, 3, 4, 5 and 2 more'
    """
    told = list(values)
    more = f" and {len(told) - SHOWN:,} more" if len(told) > SHOWN else ""
    return ", ".join(map(str, told[:SHOWN])) + more


def schema_faults(found: pa.Schema, expected: pa.Schema) -> Iterator[str]:
    """Yield in which names, types and metadata ``found`` is not ``expected``."""
    if found.names != expected.names:
        yield f"found columns {found.names}, expected {expected.names}"
        return
    for here, there in zip(found, expected, strict=True):
        if not here.equals(there):
            null = ["" if field.nullable else " not null" for field in (here, there)]
            yield f"column {here.name}: found {here.type}{null[0]}, expected {there.type}{null[1]}"
    for key, value in (expected.metadata or {}).items():
        if (found.metadata or {}).get(key) != value:
            yield f"the metadata {key.decode(errors='replace')!r} is not what the manifest says"
