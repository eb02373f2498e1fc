from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pairs import pair, publish_one, recipe_for, scan_all, write_tree

from schemas.recipe import Recipe
from tasks.deduplicate.stage import find_duplicates
from tasks.published import read_manifest
from tasks.select.basis import Basis
from tasks.select.verdicts import give_verdicts
from tasks.source.again import source_at
from tasks.source.listing import list_shards, shards_of
from tasks.source.shards import SourceError
from tasks.write.again import AnotherSource, parts_of
from tasks.write.placement import place_rows
from tasks.write.plan import FilePlan, plan_files


def plans_of(recipe: Recipe) -> list[FilePlan]:
    """Return the plans as the run made them."""
    scan, subset = scan_all(recipe), recipe.subsets[0]
    duplicates = find_duplicates(scan, (), recipe.deduplication, recipe.workspace)
    selected = give_verdicts(subset, Basis(recipe, scan, duplicates))
    images = recipe.scan.images
    placement = place_rows(scan, selected.verdicts, subset, recipe.output, images=images)
    return plan_files(shards_of(recipe), scan, placement, images=images)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"output": {"shuffle_seed": 5, "mode": "index"}},
        {"output": {"mode": "index"}, "scan": {"images": False}},
    ],
)
def test_an_index_gives_the_plans_that_it_was_made_by(tmp_path: Path, changes: dict[str, Any]) -> None:
    rows = [pair(seed) for seed in range(30)]
    rows[4] = pair(4, caption=None)
    source = write_tree(tmp_path / "source", rows, shards=3)
    output = {"dir": tmp_path / "out", "shard_bytes": 90_000} | changes.pop("output", {})
    recipe = recipe_for(source, tmp_path, output=output, **changes)
    subset = publish_one(recipe)
    manifest = read_manifest(subset)
    again = parts_of(pq.read_table(subset / "index.parquet"), manifest, list_shards(source_at(manifest, str(source))))
    made = plans_of(recipe)
    assert [plan.path for plan in again] == [plan.path for plan in made]
    for one, other in zip(again, made, strict=True):
        assert len(one.parts) == len(other.parts)
        for part, expected in zip(one.parts, other.parts, strict=True):
            assert part.shard == expected.shard
            assert part.first_row_id == expected.first_row_id
            assert part.layout == expected.layout
            for name in ("rows", "places", "levels"):
                assert getattr(part, name).tolist() == getattr(expected, name).tolist()
                assert getattr(part, name).dtype == getattr(expected, name).dtype
            assert (part.sha256 is None) == (expected.sha256 is None) == (not recipe.scan.images)
            if part.sha256 is not None:
                assert part.sha256.equals(expected.sha256)


def test_a_source_without_the_shards_is_told(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", [pair(seed) for seed in range(12)], shards=2)
    subset = publish_one(recipe_for(source, tmp_path, output={"dir": tmp_path / "out"}))
    manifest, index = read_manifest(subset), pq.read_table(subset / "index.parquet")
    shards = list_shards(source_at(manifest, str(source)))
    with pytest.raises(AnotherSource, match=r"data-00000-of-00002\.arrow: not in the source.* found 1 shards, such as"):
        parts_of(index, manifest, shards[1:])
    write_tree(source, [pair(seed) for seed in range(8)], shards=2)
    with pytest.raises(AnotherSource, match=r"data-00000-of-00002\.arrow: found 4 rows, expected 6, data-00001"):
        parts_of(index, manifest, shards)


def test_what_is_no_source_is_told(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", [pair(seed) for seed in range(12)])
    manifest = read_manifest(publish_one(recipe_for(source, tmp_path, output={"dir": tmp_path / "out"})))
    with pytest.raises(SourceError, match=r"no-id: cannot be read as the source of clean: path"):
        source_at(manifest, "no-id", hub=True)
    hub = source_at(manifest, "owner/name", hub=True, revision="v2")
    assert (hub.kind, hub.path, hub.revision, hub.name) == ("hub", "owner/name", "v2", "tiny")
