"""Which pictures a comparison shows: of the rows lost and gained for each reason a seeded draw, from data files."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.reasons import REASONS
from schemas.tables import INDEX_FILE, REJECTED_FILE
from tasks.diff.verdicts import ABSENT, KEPT, Sides, Verdicts
from tasks.files import is_local
from tasks.published import SubsetDamaged, read_row_ids
from tasks.report.notes import changed_note
from tasks.report.samples import draw
from tasks.report.sheets import Picture, Sheet
from tasks.source.columns import Layout, resolve
from tasks.source.pairs import Pairs, shard_pairs
from tasks.source.read import read_schema
from tasks.source.shards import Shard, ShardUnreadable

PICTURES = 12
"""Most pictures shown of a reason."""

ABSENT_TITLE = "not_in_source"
"""Title of the sheet of rows that the other source does not have."""


def changed_sheets(sides: Sides) -> tuple[tuple[Sheet, ...], str]:
    """Return sheets of the rows that A kept and B did not, by B's primary reason; or none, and why.

    Pictures and captions are those of A's data files.
    """
    rows, there, state = sides.kept()
    drawn = {code: draw(np.flatnonzero(state == code), PICTURES) for code in np.unique(state).tolist() if code != KEPT}
    if not drawn:
        return (), ""
    one, other, _ = sides
    if one.manifest.mode == "index":
        return (), "it is an index, and has no pictures"
    if not is_local(one.directory):
        return (), "it does not lie on this machine"
    chosen = np.sort(np.concatenate(list(drawn.values())))
    try:
        pairs, names = _read(one, rows[chosen])
        verdicts = _rejected(other, there[chosen])
    except (SubsetDamaged, ShardUnreadable, OSError) as error:
        return (), str(error)

    def picture(at: int) -> Picture:
        row, counterpart = int(rows[at]), int(there[at])
        image, caption = pairs[row]
        return Picture(image, caption, names[row] or f"row {row:,}", changed_note(verdicts.get(counterpart)))

    return tuple(
        Sheet(
            ABSENT_TITLE if code == ABSENT else REASONS[code].value,
            "The other source does not have the row." if code == ABSENT else REASONS[code].meaning,
            int((state == code).sum()),
            tuple(picture(at) for at in positions.tolist()),
        )
        for code, positions in sorted(drawn.items(), key=lambda of: (of[0] == ABSENT, of[0]))
    ), ""


def _read(subset: Verdicts, row_ids: NDArray[np.int64]) -> tuple[Pairs, dict[int, str | None]]:
    """Return image and caption of kept rows, and their names, by row id."""
    columns = ["row_id", "img_name", "file", "file_row"]
    found = read_row_ids(subset.directory / INDEX_FILE, row_ids.tolist(), columns)
    pairs: Pairs = {}
    for name in dict.fromkeys(found["file"].to_pylist()):
        rows = found.filter(pc.equal(found["file"], name)).sort_by("file_row")
        shard, layout = _as_source(subset, name)
        positions = rows["file_row"].to_numpy().astype(np.int64)
        pairs |= zip(rows["row_id"].to_pylist(), shard_pairs(shard, positions, layout), strict=True)
    return pairs, dict(zip(found["row_id"].to_pylist(), found["img_name"].to_pylist(), strict=True))


def _as_source(subset: Verdicts, name: str) -> tuple[Shard, Layout]:
    """Return a data file as the shard of a source, and where its image and caption are."""
    path = Path(str(subset.directory / name))
    if path.suffix != ".parquet":
        shard = Shard(name, path, "webdataset")
        found = resolve(read_schema(shard), {})
        return shard, Layout(image=found.image, caption=found.caption)
    facts = subset.manifest.columns.facts
    return Shard(name, path, "parquet"), Layout(image=facts.get("image"), caption=facts.get("caption"))


def _rejected(subset: Verdicts, row_ids: NDArray[np.int64]) -> dict[int, dict[str, Any]]:
    """Return, by row id, what led to the rejection of rows; those that are not there (-1) are left out."""
    columns = ["row_id", "reasons", "measured", "duplicate_distance", "duplicate_similarity", "reference", "detail"]
    found = read_row_ids(subset.directory / REJECTED_FILE, row_ids[row_ids >= 0].tolist(), columns)
    return {row["row_id"]: row for row in found.to_pylist()}
