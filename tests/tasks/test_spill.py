from pathlib import Path

import numpy as np
import pytest

from tasks import spill
from tasks.spill import kept_in_room, room


@pytest.mark.parametrize("limit", [0, 2**27])
def test_an_array_is_the_same_in_memory_and_in_a_file_that_no_folder_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(spill, "SPILLED_BYTES", limit)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    array = room((3, 5), np.int32)
    assert array.shape == (3, 5)
    assert not array.any()
    array[1] = 7
    assert array.sum() == 35
    assert (str(tmp_path) in Path("/proc/self/maps").read_text()) == (limit == 0)
    assert list(tmp_path.iterdir()) == []
    del array
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


def test_what_is_moved_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(10, dtype=np.uint16)
    assert kept_in_room(values) is values
    monkeypatch.setattr(spill, "SPILLED_BYTES", 20)
    moved = kept_in_room(values)
    assert moved is not values
    np.testing.assert_array_equal(moved, values)
    assert len(kept_in_room(values[:0])) == 0
