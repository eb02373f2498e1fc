from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from signals import scanned

from schemas.reports import ScanReport
from tasks import signals
from tasks.files import read_parquet
from tasks.signals import Kept, in_pieces, load_signals, of_rows


@pytest.fixture
def scan(tmp_path: Path) -> ScanReport:
    """Forty rows in shards of 0 to 9."""
    rows = iter(range(40))
    shards = [
        [{"byte_length": next(rows), "format": f"F{size}"} for _ in range(size)] for size in (9, 0, 7, 8, 9, 0, 7)
    ]
    return scanned(tmp_path, *shards)


@pytest.mark.parametrize("most", [1, 10, 100])
def test_pieces_are_whole_shards_in_order(scan: ScanReport, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(signals, "PIECE_ROWS", most)
    found = list(in_pieces(scan, ["byte_length", "format"], lambda place, table: (place, table)))
    assert [place.start for place, _ in found] == [0, *(place.stop for place, _ in found[:-1])]
    assert [value for _, table in found for value in table["byte_length"].to_pylist()] == list(range(40))
    assert all(len(table) == place.stop - place.start for place, table in found)
    assert max(len(table) for _, table in found) < most + 9
    whole = load_signals(scan, ["byte_length", "format"])
    assert whole["byte_length"].to_pylist() == list(range(40))
    assert whole["format"][:9].to_pylist() == ["F9"] * 9


def test_of_some_rows_those_are_told(scan: ScanReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "PIECE_ROWS", 8)
    row_ids = np.array([0, 8, 9, 20, 39])
    found = np.zeros(5, np.int64)

    def take_in(here: slice, table: pa.Table) -> int:
        found[here] = table["byte_length"].to_numpy()
        return len(table)

    assert sum(of_rows(scan, ["byte_length"], row_ids, take_in)) == 5
    np.testing.assert_array_equal(found, row_ids)


def test_what_a_piece_raises_is_raised(scan: ScanReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "PIECE_ROWS", 1)
    with pytest.raises(ZeroDivisionError):
        list(in_pieces(scan, ["byte_length"], lambda place, _: 1 // (place.start - 24)))


@pytest.mark.parametrize(("room", "read_again"), [(0, 40), (100, 33), (10_000, 0)])
def test_what_is_kept_is_not_read_again(
    scan: ScanReport, monkeypatch: pytest.MonkeyPatch, room: int, read_again: int
) -> None:
    read: list[int] = []

    def watched(*arguments: Any, **options: Any) -> pa.Table:
        table = read_parquet(*arguments, **options)
        read.append(len(table) if "byte_length" in table.column_names else 0)
        return table

    monkeypatch.setattr(signals, "PIECE_ROWS", 10)
    monkeypatch.setattr(signals, "KEPT_BYTES", room)
    monkeypatch.setattr(signals, "read_parquet", watched)
    kept = Kept()
    first = load_signals(scan, ["byte_length"], kept)
    assert sum(read) == 40
    read.clear()
    assert load_signals(scan, ["format", "byte_length"], kept)["byte_length"].equals(first["byte_length"])
    assert sum(read) == read_again
    both = ["format", "byte_length"]
    assert load_signals(scan, both, kept).schema.equals(load_signals(scan, both).schema)  # also what is never null
