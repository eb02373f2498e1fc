from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from schemas.base import Location, Model
from tasks.records import note, recall, record_key


class Made(Model):
    rows: int
    path: Location | None = None
    place: str = "here"


def files(made: Made) -> list[UPath | None]:
    return [made.path]


def test_a_report_is_recalled_as_long_as_what_it_tells_of_is_there(tmp_path: Path) -> None:
    record, table = UPath(tmp_path / "folder" / "record.json"), UPath(tmp_path / "table.parquet")
    assert recall(record, Made, files) is None
    pq.write_table(pa.table({"a": [1]}), str(table))
    note(record, Made(rows=1, path=table, place="there"), without={"place"})
    assert recall(record, Made, files) == Made(rows=1, path=table)
    table.write_bytes(table.read_bytes()[:-4])
    assert recall(record, Made, files) is None
    table.unlink()
    assert recall(record, Made, files) is None


@pytest.mark.parametrize("damaged", [b"", b"{", b'{"rows": -1, "new": 2}', b"\xff"])
def test_a_damaged_record_is_none(damaged: bytes, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes(damaged)
    assert recall(UPath(tmp_path / "record.json"), Made, files) is None


def test_a_key_stands_for_the_data_and_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    key = record_key({"a": 1}, [2])
    assert key == record_key({"a": 1}, [2])
    assert len(key) == 16
    assert key != record_key({"a": 1}, [3])
    monkeypatch.setattr("tasks.records.version", lambda name: "another")
    assert key != record_key({"a": 1}, [2])
