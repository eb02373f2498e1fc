"""Cut work into task runs worth some tens of seconds each."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

_T = TypeVar("_T")

_GROUP_BYTES = 4_000_000_000  # eight shards of Git-10M: some half a minute on two cores
_GROUPS_PER_WORKER = 4  # at least, so that workers end together and progress can be seen


def in_groups(items: Sequence[_T], sizes: Iterable[int], workers: int) -> list[tuple[_T, ...]]:
    """Cut ``items`` into consecutive groups of about equal size; no result depends on the cut.

    >>> in_groups("abcd", [1, 1, 5, 1], workers=1)
    [('a', 'b'), ('c',), ('d',)]
    """
    sizes = list(sizes)
    limit = min(_GROUP_BYTES, max(1, sum(sizes) // (_GROUPS_PER_WORKER * workers)))
    groups: list[list[_T]] = []
    room = 0
    for item, size in zip(items, sizes, strict=True):
        if not groups or size > room:
            groups.append([])
            room = limit
        groups[-1].append(item)
        room -= size
    return [tuple(group) for group in groups]


def span(names: Sequence[str]) -> str:
    """Return what to call a group in one line.

    >>> span(["data/train-0", "data/train-1", "data/train-2"])
    'data/train-0 … data/train-2'
    """
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
