import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pairs import Row, encode, land, pair, recipe_for, scan_all, write_tree
from PIL import Image

from schemas.reports import ReferenceReport, ScanReport
from tasks.deduplicate.search import ENOUGH_STRUCTURE
from tasks.deduplicate.stage import find_duplicates
from tasks.source.listing import list_shards

PICTURES = [pair(seed, image=encode(land(seed))) for seed in range(6)]


def scanned(home: Path, name: str, rows: list[Row], shards: int = 1) -> ScanReport:
    return scan_all(recipe_for(write_tree(home / name, rows, shards), home))


def contaminated(home: Path, scan: ScanReport, *references: ScanReport) -> list[dict[str, object]]:
    """Return the contaminated rows, against reference sets called set-0, set-1 and so on."""
    reports = [ReferenceReport(name=f"set-{n}", scan=reference) for n, reference in enumerate(references)]
    settings = recipe_for(home, home).deduplication
    found = find_duplicates(scan, reports, settings, recipe_for(home, home).workspace)
    rows: list[dict[str, object]] = pq.read_table(str(found.contaminated)).to_pylist()
    assert found.contaminated_rows == len(rows)
    return rows


def test_a_source_is_wholly_contaminated_by_itself(tmp_path: Path) -> None:
    source = scanned(tmp_path, "source", PICTURES)
    found = contaminated(tmp_path, source, source)
    assert [row["row_id"] for row in found] == list(range(6))
    assert [row["reference"] for row in found] == [f"set-0: tile_{n}.jpg" for n in range(6)]


def test_the_nearest_of_several_sets_is_named_and_an_equal_file_before_all(tmp_path: Path) -> None:
    source = scanned(tmp_path, "source", [PICTURES[0], PICTURES[1]])
    rough = scanned(tmp_path, "rough", [pair(60, image=encode(land(0), quality=8)), PICTURES[1]])
    fine = scanned(tmp_path, "fine", [pair(70, image=encode(land(0).resize((250, 250))))])
    equal = scanned(tmp_path, "equal", [pair(80, image=PICTURES[0]["image"])])
    assert [row["reference"] for row in contaminated(tmp_path, source, rough, fine, equal)] == [
        "set-2: tile_80.jpg",
        "set-0: tile_1.jpg",
    ]


def test_a_set_that_was_read_only_in_part_counts_as_far_as_it_was_read(tmp_path: Path) -> None:
    source = scanned(tmp_path, "source", PICTURES)
    recipe = recipe_for(write_tree(tmp_path / "set", [PICTURES[n % 6] for n in range(1200)], 1), tmp_path)
    [shard] = list_shards(recipe.source)
    shard.path.write_bytes(shard.path.read_bytes()[: shard.path.stat().st_size * 2 // 3])
    partly = scan_all(recipe)
    assert partly.quarantined
    assert partly.rows > 100
    assert len(contaminated(tmp_path, source, partly)) == 6


def test_a_renamed_file_of_a_set_is_named_as_it_is_called_now(tmp_path: Path) -> None:
    source = scanned(tmp_path, "source", PICTURES[:1])
    tree = tmp_path / "set"
    tree.mkdir()
    pq.write_table(pq.read_table(_parquet(tmp_path)), tree / "a.parquet")
    first = contaminated(tmp_path, source, scan_all(recipe_for(tree, tmp_path)))
    shutil.move(tree / "a.parquet", tree / "b.parquet")
    second = contaminated(tmp_path, source, scan_all(recipe_for(tree, tmp_path)))
    assert [first[0]["reference"], second[0]["reference"]] == ["set-0: a.parquet row 0", "set-0: b.parquet row 0"]


def _parquet(home: Path) -> Path:
    import pyarrow as pa

    path = home / "unnamed.parquet"
    pq.write_table(pa.table({"image": [PICTURES[0]["image"]]}), path)
    return path


def test_the_same_picture_is_found_however_little_is_to_be_seen_in_it(tmp_path: Path) -> None:
    picture = Image.new("RGB", (256, 256), (90, 90, 90))
    picture.paste(land(1).crop((0, 0, 100, 112)), (60, 40))
    source = scanned(tmp_path, "source", [pair(1, image=encode(picture, "PNG"))])
    again = scanned(tmp_path, "set", [pair(2, image=encode(picture, "PNG", compress_level=1))])
    structure = pq.read_table(str(source.shards[0].signals))["structure"].to_numpy()
    assert structure < ENOUGH_STRUCTURE
    [row] = contaminated(tmp_path, source, again)
    assert (row["distance"], row["similarity"]) == (0, 1.0)


@pytest.mark.parametrize("part", [0.5, 0.95])
def test_a_damaged_file_of_contaminated_rows_is_made_again(tmp_path: Path, part: float) -> None:
    source = scanned(tmp_path, "source", PICTURES)
    before = contaminated(tmp_path, source, source)
    [path] = (tmp_path / "workspace" / "contaminated").iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    assert contaminated(tmp_path, source, source) == before
    assert path.read_bytes() == whole
    np.testing.assert_array_equal([row["row_id"] for row in before], np.arange(6))
