"""What is laid down of a vectors file is seen again whole, whatever became of the file, or not at all."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from schemas.tables import vectors_schema
from tasks.embed.part import Part, part_of, sweep_parts

SCHEMA = vectors_schema(4)
MADE_BY = b"a model"


def batch(*rows: int) -> pa.RecordBatch:
    made = [{"row": row, "image": np.full(4, row, np.float16), "truncated": None} for row in rows]
    return pa.RecordBatch.from_pylist(made, schema=SCHEMA)


BATCHES = [batch(0, 1, 2), batch(3, 4, 5), batch(6)]


def laid(path: Path) -> list[int]:
    """Lay all batches down, and return how long the file is before the first and after each."""
    part, ends = Part(path, SCHEMA, MADE_BY), [path.stat().st_size]
    for one in BATCHES:
        part.append(one)
        ends.append(path.stat().st_size)
    return ends


def test_the_next_one_goes_on(tmp_path: Path) -> None:
    first = Part(tmp_path / "part", SCHEMA, MADE_BY)
    assert first.rows == 0
    first.append(BATCHES[0])
    first.append(BATCHES[1])

    again = Part(tmp_path / "part", SCHEMA, MADE_BY)
    assert again.rows == 6
    again.append(BATCHES[2])
    assert again.rows == 7
    assert list(again.batches()) == BATCHES


def test_wherever_the_file_was_cut_what_is_whole_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "part"
    ends = laid(path)
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        part = Part(path, SCHEMA, MADE_BY)
        count = max(sum(end <= cut for end in ends) - 1, 0)
        assert part.rows == 3 * count
        for one in BATCHES[count:]:
            part.append(one)
        assert path.read_bytes() == whole


def test_what_comes_after_damage_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "part"
    ends = laid(path)
    whole = path.read_bytes()
    for place in range(0, ends[2], 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        assert Part(path, SCHEMA, MADE_BY).rows == (3 if place >= ends[1] else 0)


@pytest.mark.parametrize("found", [b"", b"\0" * 1000, b"\xff" * 1000])
def test_what_is_no_part_is_begun_anew(tmp_path: Path, found: bytes) -> None:
    (tmp_path / "part").write_bytes(found)
    part = Part(tmp_path / "part", SCHEMA, MADE_BY)
    part.append(BATCHES[0])
    assert list(part.batches()) == BATCHES[:1]


def test_what_another_made_is_begun_anew(tmp_path: Path) -> None:
    laid(tmp_path / "part")
    part = Part(tmp_path / "part", SCHEMA, b"another model")
    assert part.rows == 0
    assert list(part.batches()) == []
    part.append(BATCHES[0])
    assert Part(tmp_path / "part", SCHEMA, MADE_BY).rows == 0


def fail_half_way(vectors: UPath) -> Path:
    """Lay all batches down and fail; return where."""
    with suppress(OSError), part_of(vectors) as path:
        laid(path)
        raise OSError("full")
    return path


def test_a_part_stays_where_something_failed_and_goes_when_the_file_is_there(tmp_path: Path) -> None:
    vectors = UPath(tmp_path / "folder" / "a.parquet")
    path = fail_half_way(vectors)
    with part_of(vectors) as again:
        assert again == path
        assert Part(path, SCHEMA, MADE_BY).rows == 7
    assert list((tmp_path / "folder").iterdir()) == []


def test_for_an_object_store_a_part_is_of_no_duration() -> None:
    assert not fail_half_way(UPath("memory://w/a.parquet")).parent.exists()


def test_swept_is_a_part_whose_file_is_there_and_no_other(tmp_path: Path) -> None:
    for name in ("whole", "damaged", "missing"):
        laid(tmp_path / f".{name}.parquet.part")
    pq.write_table(pa.table({"row": [0]}), tmp_path / "whole.parquet")
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")

    sweep_parts(UPath(tmp_path))

    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".damaged.parquet.part", ".missing.parquet.part", "damaged.parquet", "whole.parquet"]


def test_a_disk_that_is_full_is_told_with_the_file(tmp_path: Path) -> None:
    part = Part(tmp_path / "part", SCHEMA, MADE_BY)
    (tmp_path / "part").unlink()
    (tmp_path / "part").symlink_to("/dev/full")
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/part'"):
        part.append(BATCHES[0])
