from pathlib import Path

import pytest
from upath import UPath

from schemas.base import Location, Model
from tasks.records import note, recall, record_key


class Made(Model):
    rows: int
    path: Location | None = None
    place: str = "here"


def test_a_report_is_recalled_but_for_what_is_told_anew(tmp_path: Path) -> None:
    record = UPath(tmp_path / "folder" / "record.json")
    assert recall(record, Made) is None
    note(record, Made(rows=1, path=tmp_path, place="there"), without={"place"})
    assert recall(record, Made) == Made(rows=1, path=tmp_path)


@pytest.mark.parametrize("damaged", [b"", b"{", b'{"rows": -1, "new": 2}', b"\xff"])
def test_a_damaged_record_is_none(damaged: bytes, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes(damaged)
    assert recall(UPath(tmp_path / "record.json"), Made) is None


def test_a_key_stands_for_the_data_and_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    key = record_key({"a": 1}, [2])
    assert key == record_key({"a": 1}, [2])
    assert len(key) == 16
    assert key != record_key({"a": 1}, [3])
    monkeypatch.setattr("tasks.records.version", lambda name: "another")
    assert key != record_key({"a": 1}, [2])
