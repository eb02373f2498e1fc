import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import pair, publish_one, recipe_for, scan_all, write_tree

from schemas.reports import ScanReport
from schemas.subset import RowList
from tasks.pinning import FileChanged, pinned
from tasks.select.lists import ListInvalid, listed_rows


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_tree(home / "source", [pair(seed) for seed in range(12)], shards=3)
    return home


@pytest.fixture(scope="module")
def scan(home: Path) -> ScanReport:
    return scan_all(recipe_for(home / "source", home))


def rows_of(scan: ScanReport, former: Path) -> pa.Array:
    return pa.array(np.flatnonzero(listed_rows(scan, RowList.model_validate({"path": former}))))


def rows(scan: ScanReport, path: Path, column: str | None = None) -> list[int]:
    listed = listed_rows(scan, RowList.model_validate({"path": path, "column": column}))
    return np.flatnonzero(listed).tolist()


@pytest.mark.parametrize("kind", ["parquet", "csv", "txt"])
@pytest.mark.parametrize("column", ["row_id", "img_name"])
def test_rows_are_named_by_id_or_name_in_every_kind_of_file(
    scan: ScanReport, tmp_path: Path, kind: str, column: str
) -> None:
    values: list[Any] = [7, 0, 11] if column == "row_id" else ["tile_7.jpg", "tile_0.jpg", "tile_11.jpg"]
    path = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({column: values, "note": ["x"] * 3}), path)
    else:
        lines = "\n".join([*([column] if kind == "csv" else []), *map(str, values), ""])
        path.write_bytes(b"\xef\xbb\xbf" + lines.encode() + b"\n" * (kind == "txt"))  # as some editors write it
    named = column if kind == "txt" else None
    assert rows(scan, path, named) == [0, 7, 11]


def test_a_former_subset_is_a_list_by_shard_and_row(home: Path, scan: ScanReport, tmp_path: Path) -> None:
    former = publish_one(recipe_for(home / "source", home, subsets=[{"name": "few", "sampling": {"max_rows": 5}}]))
    kept = pq.read_table(former / "index.parquet")["row_id"].to_pylist()
    assert rows_of(scan, former).to_pylist() == kept
    others = [
        publish_one(recipe_for(home / "source", home, subsets=[{"name": f"{key}s", key: {"path": former}}]))
        for key in ("include", "exclude")
    ]
    within, without = (pq.read_table(folder / "index.parquet")["row_id"].to_pylist() for folder in others)
    assert within == kept
    assert sorted(within + without) == list(range(12))
    reasons = [set(pq.read_table(folder / "rejected.parquet")["primary_reason"].to_pylist()) for folder in others]
    assert reasons == [{"not_included"}, {"excluded"}]


def test_a_former_subset_is_known_by_what_its_shards_hold(tmp_path: Path) -> None:
    """The source grows, so that all shards have other names; another source has shards of the same names."""
    few = [{"name": "few", "sampling": {"max_rows": 5}}]
    rows = [pair(seed) for seed in range(8)]
    former = publish_one(recipe_for(write_tree(tmp_path / "a", rows, shards=2), tmp_path / "home", subsets=few))
    names = pq.read_table(former / "index.parquet")["img_name"].to_pylist()
    others = write_tree(tmp_path / "c", [pair(seed) for seed in range(50, 58)], shards=2) / "train"
    grown, fewer = tmp_path / "grown", tmp_path / "fewer"
    for folder, shards in ((grown, [others, tmp_path / "a" / "train"]), (fewer, [tmp_path / "a" / "train"])):
        folder.mkdir()
        files = [path for shard in shards for path in sorted(shard.glob("*.arrow"))]
        for number, path in enumerate(files if folder == grown else files[:1]):
            shutil.copy(path, folder / f"part-{number}.arrow")
    scan = scan_all(recipe_for(grown, tmp_path / "b-home"))
    listed = pa.concat_tables([pq.read_table(shard.signals, columns=["img_name"]) for shard in scan.shards])
    assert sorted(listed["img_name"].take(rows_of(scan, former)).to_pylist()) == sorted(names)
    other = scan_all(recipe_for(tmp_path / "c", tmp_path / "c-home"))
    for all_there in (True, False):
        with pytest.raises(
            ListInvalid, match=r"2 of 2 shards, such as data-00000-of-00002.arrow, are not in the source"
        ):
            listed_rows(other, RowList.model_validate({"path": former}), all_there=all_there)
    lost = scan_all(recipe_for(fewer, tmp_path / "d-home"))
    with pytest.raises(ListInvalid, match=r"1 of 2 shards"):
        listed_rows(lost, RowList.model_validate({"path": former}))
    assert listed_rows(lost, RowList.model_validate({"path": former}), all_there=False).any()


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.txt", "3\n12\n-1\n", r"found '12' in row 2, '-1' in row 3; expected a row id from 0 to 11"),
        ("a.txt", "3\ntile_3.jpg\n", r"found 'tile_3.jpg' in row 2; expected a whole number as row_id"),
        ("a.csv", "name\ntile_3.jpg\n", r"found columns name; expected row_id, img_name, or shard and row"),
        ("a.csv", "img_name\nno.jpg\ntile_3.jpg\n", r"found 'no.jpg' in row 1; expected the name of a row"),
        ("a.csv", "shard,row\nelse.arrow,0\n", r"found 'else.arrow' in row 1; expected a shard of the source"),
        ("a.csv", "shard,row\ndata-00000-of-00003.arrow,4\n", r"found '4' in row 1; expected a row of that shard"),
        ("a.parquet", "no parquet", r"cannot be read as a list of rows"),
        ("b.txt", "", None),
    ],
)
def test_a_list_that_names_what_is_not_there_is_refused(
    scan: ScanReport, tmp_path: Path, name: str, text: str, told: str | None
) -> None:
    path = tmp_path / name
    path.write_text(text)
    if told is None:
        assert rows(scan, path) == []
        return
    with pytest.raises(ListInvalid, match=f"{name}: {told}"):
        rows(scan, path)


def test_a_missing_list_is_refused_by_its_key_and_another_content_by_its_digest(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    recipe = recipe_for(home / "source", home, subsets=[{"name": "few", "exclude": {"path": path}}])
    with pytest.raises(FileChanged, match=r"subset few: exclude.path: .*rows.txt: No such file"):
        pinned(recipe)
    path.write_text("3")
    exact = pinned(recipe)
    assert exact.subsets[0].exclude is not None
    told = exact.essence(exact.subsets[0])["subsets"][0]["exclude"]
    assert told == {"sha256": hashlib.sha256(b"3").hexdigest(), "column": None}
    path.write_text("4")
    with pytest.raises(FileChanged, match=r"subset few: exclude: .*found SHA-256 4b22.*, expected 4e07"):
        pinned(exact)
