import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pairs import Row, encode, land, pair, recipe_for, scan_all, write_tree
from PIL import Image

from schemas.recipe import Recipe
from schemas.reports import DeduplicateReport, ScanReport
from schemas.tables import PAIRS
from tasks.deduplicate import pairs as pairs_module
from tasks.deduplicate.stage import find_duplicates

NEAR = {"any_orientation": True}


def rows(seed: int, count: int = 24) -> list[Row]:
    """Rows of which many are copies of each other, turned and resized, also across shards."""
    rng = random.Random(seed)
    pictures = [
        land(rng.randrange(9)).resize((rng.randrange(80, 200),) * 2).transpose(Image.Transpose(rng.randrange(7)))
        for _ in range(count)
    ]
    return [pair(seed * 100 + n, image=encode(picture)) for n, picture in enumerate(pictures)]


def recipe_of(home: Path, content: list[Row], shards: int, near: dict[str, bool] = NEAR) -> Recipe:
    return recipe_for(write_tree(home / f"source-{len(content)}", content, shards), home, deduplication={"near": near})


def find(recipe: Recipe, scan: ScanReport | None = None) -> DeduplicateReport:
    return find_duplicates(scan or scan_all(recipe), (), recipe.deduplication, recipe.workspace)


def test_pairs_are_found_once_and_reused(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, rows(1), 3)
    first, second = find(recipe), find(recipe)
    assert (first.reused, second.reused) == (False, True)
    assert first.path == second.path
    assert first.pairs == second.pairs > 10
    assert pq.read_schema(first.path).equals(PAIRS)
    table = pq.read_table(first.path)
    assert all(a < b for a, b in zip(table["signature_a"].to_pylist(), table["signature_b"].to_pylist(), strict=True))


def test_other_settings_are_other_pairs(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, rows(1), 2)
    upright = recipe_of(tmp_path, rows(1), 2, near={"any_orientation": False})
    assert find(upright).path != find(recipe).path
    assert find(upright).pairs < find(recipe).pairs


def test_new_shards_join_without_redoing_the_old_ones_and_give_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards of twelve rows: the first two, then all four of them, then the last three."""
    content = [*rows(1), *rows(2)]
    at_once, piecewise = tmp_path / "once", tmp_path / "piecewise"
    whole = scan_all(recipe_of(at_once, content, 4))
    expected = pq.read_table(find(recipe_of(at_once, content, 4)).path)
    recipe = recipe_of(piecewise, content, 4)
    scan = scan_all(recipe)
    assert [shard.content_xxh3 for shard in scan.shards] == [shard.content_xxh3 for shard in whole.shards]

    fresh: list[int] = []
    search = pairs_module.near_pairs

    def counting(phash, new, *others):  # type: ignore[no-untyped-def]
        fresh.append(int(new.sum()))
        return search(phash, new, *others)

    monkeypatch.setattr(pairs_module, "near_pairs", counting)

    def part(*numbers: int) -> ScanReport:
        return ScanReport(shards=tuple(scan.shards[n] for n in numbers), listed_shards=len(numbers))

    find(recipe, part(0, 1))
    joined = find(recipe, part(0, 1, 2, 3))
    assert pq.read_table(joined.path).equals(expected)
    assert fresh[1] < joined.pictures
    assert sum(fresh) == joined.pictures  # no picture was searched for twice

    later = find(recipe, part(1, 2, 3))
    assert fresh[2] == 0  # all are known; those of the shard that is gone are left out
    alone = recipe_of(tmp_path / "alone", content, 4)
    expected = pq.read_table(find(alone, part(1, 2, 3)).path)
    assert pq.read_table(later.path).equals(expected)


def test_the_order_of_shards_and_their_names_do_not_matter(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, rows(1), 3)
    scan = scan_all(recipe)
    turned = ScanReport(shards=scan.shards[::-1], listed_shards=3)
    assert find(recipe, scan).path == find(recipe, turned).path
    assert find(recipe, turned).reused


def test_a_damaged_pairs_file_is_made_again(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, rows(1), 2)
    first = find(recipe)
    good = Path(str(first.path)).read_bytes()
    Path(str(first.path)).write_bytes(good[: len(good) // 2])
    again = find(recipe)
    assert not again.reused
    assert Path(str(again.path)).read_bytes() == good


def test_a_source_without_pictures_has_no_pairs(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, [pair(1, image=None), pair(2, image=encode(Image.new("RGB", (64, 64))))], 1)
    report = find(recipe)
    assert (report.hashed_rows, report.pictures, report.pairs) == (0, 0, 0)
