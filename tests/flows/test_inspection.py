"""``git10m inspect`` on every kind of source, as a person would call it."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hubserver import HubServer
from pairs import pair, write_image_folder, write_tar, write_tree
from s3server import S3Server

from tasks.source.listing import list_shards
from tasks.source.read import read_batches

ROWS = 24


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [pair(seed) for seed in range(ROWS)]
    rows[3] = pair(3, image=None, Google_location=None)
    rows[5] = pair(5, img_quality_score=float("nan"))
    return write_tree(tmp_path_factory.mktemp("source") / "tiny", rows, shards=3)


@pytest.fixture(scope="module")
def table(tree: Path) -> pa.Table:
    from schemas.source import FileSource

    shards = list_shards(FileSource(path=str(tree), name="tiny"))
    return pa.Table.from_batches([batch for shard in shards for batch in read_batches(shard)])


def inspect(*arguments: str | Path, status: int = 0, **environment: str) -> str:
    command = [str(Path(sys.executable).parent / "git10m"), "inspect", *map(str, arguments)]
    done = subprocess.run(
        command, env=os.environ | {"COLUMNS": "80"} | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def test_a_saved_tree_is_told_in_80_columns(tree: Path) -> None:
    told = inspect(tree)
    assert "rows          24; looked at 24 in 3 of 3 shards" in told
    assert "shards        3, " in told
    for line in (
        "│ image             │ struct<bytes: binary, path: string> │ 1 (4%) │ yes   │",
        "│ Google_location   │ string                              │ 1 (4%) │ yes   │",
    ):
        assert line in told
    assert "zoom          █  13; 23 rows" in told
    assert "quality       " in told
    assert "23 rows" in told
    assert told.count("img_quality_score  ") == 5
    assert "JPEG, " in told
    assert max(map(len, told.splitlines())) <= 80


def test_arrow_files_and_parquet(table: pa.Table, tmp_path: Path) -> None:
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    assert "rows          24; looked at 24 in 1 of 1 shards" in inspect(tmp_path / "a.arrow")
    plain = table.select(["image", "caption"]).rename_columns(["picture", "text"])
    pq.write_table(plain, tmp_path / "a.parquet")
    told = inspect(tmp_path / "*.parquet", "--column", "image=picture")
    assert "no column for img_name, img_quality_score, caption_length, resolution" in told
    assert "│ text    │ string                              │ 0      │ caption │" in told
    assert "quality       no value" in told


def test_a_column_for_the_image_that_is_not_found_is_a_problem_and_no_end(table: pa.Table, tmp_path: Path) -> None:
    pq.write_table(table.select(["caption"]), tmp_path / "a.parquet")
    told = inspect(tmp_path)
    assert "problem       a.parquet: no column holds the image: found caption" in told
    assert "caption words " in told


def test_webdataset_and_image_folder(tmp_path: Path) -> None:
    (tmp_path / "tars").mkdir()
    (tmp_path / "folder").mkdir()
    rows = [pair(seed) for seed in range(6)]
    write_tar(tmp_path / "tars" / "0.tar", rows)
    write_image_folder(tmp_path / "folder", rows, {"caption": "caption", "img_quality_score": "img_quality_score"})
    for told in (inspect(tmp_path / "tars"), inspect(tmp_path / "folder")):
        assert "rows          6; looked at 6 in 1 of 1 shards" in told
        assert "JPEG, " in told


def test_the_hub_and_s3_are_read_in_place(
    tree: Path, table: pa.Table, hub: HubServer, s3: S3Server, tmp_path: Path
) -> None:
    hub.commit("someone/tiny", tree)
    told = inspect("someone/tiny", "--hub", "--revision", "main")
    assert "JPEG, " in told
    assert "revision      " in told
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=6, use_dictionary=False, compression="none")
    s3.client.upload_file(str(tmp_path / "a.parquet"), s3.bucket, "p/a.parquet")
    assert "not read" in inspect(f"s3://{s3.bucket}/p")


def test_what_is_no_source_is_told(tmp_path: Path) -> None:
    assert "nowhere" in inspect(tmp_path / "nowhere", status=1)
    assert "format" in inspect(tmp_path, "--format", "zip", status=2)
