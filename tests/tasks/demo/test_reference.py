"""The reference set: pictures that no sound pair has, always the same, and never written over something else."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.demo import mapdata
from tasks.demo.mapdata import MapsMissing
from tasks.demo.planted import NotADemoSource
from tasks.demo.reference import REFERENCE_TILES, make_reference
from tasks.demo.source import make_source
from tasks.scan.descriptor import describe


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "reference.parquet"
    make_reference(path)
    return path


def _pictures(path: Path) -> Iterator[tuple[str, Image.Image]]:
    for row in pq.read_table(path).to_pylist():
        yield row["img_name"], Image.open(io.BytesIO(row["image"]["bytes"]))


def test_it_holds_a_named_picture_of_each_tile(path: Path) -> None:
    names = [f"bluemarble_{z}_{x}_{y}.jpg" for z, x, y in REFERENCE_TILES]
    assert [name for name, _ in _pictures(path)] == names
    assert len(set(names)) == 12
    assert {(picture.format, picture.size) for _, picture in _pictures(path)} == {("JPEG", (256, 256))}
    assert pq.read_schema(path).types == [pa.struct({"bytes": pa.binary(), "path": pa.string()}), pa.string()]


def test_there_is_enough_in_each_to_tell_it_from_others(path: Path) -> None:
    thumbnails = [
        np.asarray(picture.convert("L").resize((64, 64), Image.Resampling.BOX)) for _, picture in _pictures(path)
    ]
    described = describe(np.stack(thumbnails))
    assert described.structure.min() > 25  # 18 are needed
    distance = np.bitwise_count(described.phash[:, None] ^ described.phash)
    assert distance[~np.eye(len(distance), dtype=np.bool_)].min() > 11


def test_no_sound_pair_has_one_of_the_tiles() -> None:
    assert {z for z, *_ in REFERENCE_TILES} == {5}
    with pytest.raises(ValueError, match="less than or equal to 4"):
        make_source(Path("nowhere"), bluemarble_max_zoom=5)


def test_it_is_always_the_same_and_left_as_it_is(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "elsewhere" / "again.parquet"
    make_reference(again)
    assert again.read_bytes() == path.read_bytes()
    before = path.stat().st_mtime_ns
    make_reference(path)
    assert path.stat().st_mtime_ns == before


def test_a_users_file_or_folder_is_left_alone(tmp_path: Path) -> None:
    thesis = tmp_path / "reference.parquet"
    thesis.write_text("four years of work")
    for taken in (thesis, tmp_path):
        with pytest.raises(NotADemoSource, match="name another folder"):
            make_reference(taken)
    assert thesis.read_text() == "four years of work"


def test_missing_maps_are_named_with_their_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str) -> None:
        raise ModuleNotFoundError(package)

    monkeypatch.setattr(mapdata, "files", absent)
    with pytest.raises(MapsMissing, match=r"pip install 'git10m\[demo\]'"):
        make_reference(tmp_path / "reference.parquet")
    assert list(tmp_path.iterdir()) == []
