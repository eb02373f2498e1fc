"""Kernel: which duplicate groups a report shows. A group is a kept row and the rows rejected in its favour."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.reasons import REASONS, Reason, Stage

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

GROUPED = tuple(
    reason for reason in REASONS if reason.stage is Stage.DEDUPLICATION and reason is not Reason.CONTAMINATED
)
"""The reasons that name a kept row; a contaminated one names a reference picture."""

GROUPS = 6
"""Most groups shown of a reason."""

MEMBERS = 5
"""Most rejected rows shown of a group."""

_IN_DOUBT = 2
_LARGEST = 2
_UNMEASURED = 2.0  # above any correlation or cosine: equal bytes, tiles and captions are in no doubt

Why = Literal["among the least similar", "among the largest", "drawn at random"]


class Merged(NamedTuple):
    """The rows rejected in favour of a kept one, ascending; arrays of shape (n,)."""

    row: Rows
    keeper: Rows
    reason: NDArray[np.uint64]  # the bit of the first duplicate reason: the one that `keeper` belongs to
    distance: NDArray[np.int8]  # [bits]; -1 where the reason is not the picture
    similarity: NDArray[np.float32]  # correlation or cosine; 2 where it was not measured

    def take(self, at: Rows) -> "Merged":
        """Return the rows at the positions ``at``."""
        return Merged(self.row[at], self.keeper[at], self.reason[at], self.distance[at], self.similarity[at])


class DrawnGroup(NamedTuple):
    """One group, and why it is shown."""

    keeper: int
    members: tuple[int, ...]  # those shown, most in doubt first
    rows: int  # rejected in favour of the keeper for this reason, shown or not
    elsewhere: int  # and for other duplicate reasons
    why: Why | None  # None where all groups are shown


class Draw(NamedTuple):
    """The groups of one reason."""

    rows: int  # in all groups
    groups: int  # in all
    shown: tuple[DrawnGroup, ...]


def merged_rows(judged: pa.Table) -> Merged:
    """Return the duplicates among ``judged``: verdicts (:data:`schemas.tables.VERDICTS`) on every row, in order."""
    bits = judged["reasons"].to_numpy() & np.uint64(sum(reason.bit for reason in GROUPED))
    rows = np.flatnonzero((bits != 0) & judged["duplicate_of"].is_valid().to_numpy())
    found = judged.select(["duplicate_of", "duplicate_distance", "duplicate_similarity"]).take(rows)
    bits = bits[rows]
    return Merged(
        rows,
        found["duplicate_of"].to_numpy(),
        bits & (~bits + np.uint64(1)),
        pc.fill_null(found["duplicate_distance"], -1).to_numpy(),
        pc.fill_null(found["duplicate_similarity"], _UNMEASURED).to_numpy(),
    )


def draw_groups(merged: Merged, near: Mask, *, seed: int) -> dict[Reason, Draw]:
    """Draw up to :data:`GROUPS` groups of each reason that has some; the same rows and seed give the same groups.

    Args:
        merged: all duplicates.
        near: shape (rows of the source,): rows that may be shown. A group without its keeper is not shown, of the
            others the rows that may be.
        seed: of the random draw.

    Returns:
        For near and semantic duplicates, the groups of the least similar rows first, those that a person must judge;
        then the largest ones, and as many as there is room for at random.
    """
    rng = np.random.default_rng(seed)
    _, group, sizes = np.unique(merged.keeper, return_inverse=True, return_counts=True)
    totals = sizes[group]
    drawn: dict[Reason, Draw] = {}
    for reason in GROUPED:
        rows = np.flatnonzero(merged.reason == np.uint64(reason.bit))
        if len(rows):
            in_doubt = _IN_DOUBT if reason in (Reason.DUPLICATE_NEAR, Reason.DUPLICATE_SEMANTIC) else 0
            drawn[reason] = _draw(merged.take(rows), totals[rows], near, rng, in_doubt=in_doubt)
    return drawn


def rows_of(draws: Iterable[Draw]) -> Rows:
    """Return the rows that ``draws`` show, keepers included, ascending, each once."""
    shown = [row for draw in draws for group in draw.shown for row in (group.keeper, *group.members)]
    return np.unique(np.array(shown, np.int64))


def richest_pair(member: Rows, keeper: Rows) -> tuple[int, int] | None:
    """Return the two shards that hold most duplicates together with their keepers; None where there are none.

    ``member`` and ``keeper``, of shape (n,), are the shards of each duplicate and of the row it names. The two are one
    where most duplicates lie beside their keepers and no pair of shards has more.

    >>> richest_pair(np.array([0, 1, 2, 2]), np.array([3, 1, 0, 2]))
    (0, 2)
    """
    if not len(member):
        return None
    low, high = np.minimum(member, keeper), np.maximum(member, keeper)
    shards = int(high.max()) + 1
    within = np.bincount(low[low == high], minlength=shards)
    pairs, counts = np.unique(low * shards + high, return_counts=True)
    first, second = np.divmod(pairs, shards)
    counts = within[first] + np.where(first == second, 0, counts + within[second])
    best = int(counts.argmax())
    return int(first[best]), int(second[best])


def _draw(merged: Merged, totals: Rows, near: Mask, rng: np.random.Generator, *, in_doubt: int) -> Draw:
    """Draw the groups of one reason; ``totals``: for each row, how many its keeper has for whatever reason."""
    keepers, at, group, sizes = np.unique(merged.keeper, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((merged.row, -merged.distance.astype(np.int64), merged.similarity))
    order = order[near[merged.row[order]] & near[merged.keeper[order]]]
    groups, first = np.unique(group[order], return_index=True)
    doubtful = groups[np.argsort(first)]
    larger = groups[sizes[groups] > sizes[groups].min(initial=len(merged.row))]  # of pairs, none is the largest
    largest = larger[np.argsort(-sizes[larger], kind="stable")]
    picked: dict[int, Why | None] = {}
    if len(groups) <= GROUPS:
        picked = dict.fromkeys(doubtful.tolist())
    else:
        _pick(picked, doubtful[:in_doubt], "among the least similar")
        _pick(picked, largest[:_LARGEST], "among the largest")
        _pick(picked, rng.permutation(groups)[:GROUPS], "drawn at random")
    shown = [
        DrawnGroup(
            int(keepers[number]),
            tuple(merged.row[order[group[order] == number][:MEMBERS]].tolist()),
            int(sizes[number]),
            int(totals[at[number]] - sizes[number]),
            why,
        )
        for number, why in picked.items()
    ]
    return Draw(len(merged.row), len(keepers), tuple(shown))


def _pick(picked: dict[int, Why | None], candidates: Rows, why: Why) -> None:
    for candidate in candidates.tolist():
        if len(picked) < GROUPS:
            picked.setdefault(candidate, why)
