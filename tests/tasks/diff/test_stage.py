"""Two subsets held against each other, by sets of rows read in the plainest way."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import Row, encode, pair, picture, publish_one, recipe_for, write_tree
from upath import UPath

from schemas.difference import Change, Difference, ReasonRows
from schemas.embedding import ScorerIdentity
from schemas.reasons import Reason
from tasks.diff.rows import CHANGED, write_rows
from tasks.diff.stage import compare
from tasks.diff.verdicts import Sides, Verdicts
from tasks.published import NotASubset, SubsetDamaged

SPLITS = {"fractions": {"train": 0.6, "test": 0.4}}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [pair(seed) for seed in range(60)]
    rows[3] = pair(3, image=encode(picture(3))[:-200])
    rows[20] = pair(20, image=rows[40]["image"], img_quality_score=1.0)
    return write_tree(tmp_path_factory.mktemp("source") / "tiny", rows, shards=3)


def curated(tree: Path, home: Path, **subset: Any) -> Path:
    workspace = tree.parent / "workspace"
    return publish_one(recipe_for(tree, home, subsets=[{"name": "made"} | subset], workspace=workspace))


@pytest.fixture(scope="module")
def plain(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return curated(tree, tmp_path_factory.mktemp("plain"), splits=SPLITS)


@pytest.fixture(scope="module")
def strict(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    limits = {"quality": {"min_quantile": 0.4}, "caption_words": {"min": 12}}
    return curated(tree, tmp_path_factory.mktemp("strict"), splits=SPLITS | {"seed": 5}, **limits)


def diff(a: Path, b: Path, rows: Path | None = None) -> Difference:
    sides = Sides.of(UPath(a), UPath(b))
    if rows is not None:
        write_rows(sides, UPath(rows))
    return compare(sides)


def table(directory: Path, name: str) -> dict[int, Row]:
    return {row["row_id"]: row for row in pq.read_table(directory / f"{name}.parquet").to_pylist()}


def test_lost_and_gained_rows_are_counted_by_the_other_s_primary_reason(plain: Path, strict: Path) -> None:
    a, b = table(plain, "index"), table(strict, "index")
    refused = table(strict, "rejected")
    expected = Counter(refused[row_id]["primary_reason"] for row_id in a.keys() - b.keys())
    assert len(expected) > 1
    found = diff(plain, strict)
    assert {count.reason: count.rows for count in found.lost} == expected
    assert (found.both, found.gained) == (len(a.keys() & b.keys()), ())
    assert (found.a.own_shards, found.b.own_shards) == (0, 0)
    turned = diff(strict, plain)
    assert (turned.lost, turned.gained) == ((), found.lost)


def test_rows_in_another_split_are_counted(plain: Path, strict: Path) -> None:
    a, b = table(plain, "index"), table(strict, "index")
    pairs = Counter((a[row_id]["split"], b[row_id]["split"]) for row_id in a.keys() & b.keys())
    expected = {names: rows for names, rows in pairs.items() if names[0] != names[1]}
    assert len(expected) == 2
    assert {(move.a, move.b): move.rows for move in diff(plain, strict).moved} == expected


def test_what_was_set_otherwise_is_listed_with_both_values(plain: Path, strict: Path) -> None:
    found = diff(plain, strict)
    assert found.recipe == (
        Change(key="subsets.0.quality.min_quantile", a=None, b=0.4),
        Change(key="subsets.0.caption_words.min", a=None, b=12),
        Change(key="subsets.0.splits.seed", a=0, b=5),
    )
    [limit] = found.thresholds
    scores = sorted(row["img_quality_score"] for row in (pair(seed) for seed in range(60)))
    assert limit.key == "quality.min_quantile"
    assert limit.a is None
    assert scores[0] < limit.b < scores[-1]
    assert found.versions == ()
    assert not found.same_rows


def test_vectors_that_differ_are_listed_by_their_scorer(plain: Path) -> None:
    sides = Sides.of(UPath(plain), UPath(plain))

    def by(*digests: str) -> Verdicts:
        scorers = [
            ScorerIdentity(name=name, dimensions=4, vectors_sha256=d * 64)
            for name, d in zip("xyz", digests, strict=False)
        ]
        return sides.a._replace(manifest=sides.a.manifest.model_copy(update={"scorers": tuple(scorers)}).sealed())

    found = compare(Sides(by("a", "b"), by("a", "c", "d"), sides.pairing))
    assert found.vectors == (Change(key="y", a="b" * 64, b="c" * 64),)
    assert (found.same_manifest, found.same_rows, found.recipe) == (False, True, ())


def test_the_rows_file_has_every_lost_and_gained_row_with_all_reasons(
    plain: Path, strict: Path, tmp_path: Path
) -> None:
    for a, b, change in ((plain, strict, "lost"), (strict, plain, "gained")):
        diff(a, b, tmp_path / "rows.parquet")
        rows = pq.read_table(tmp_path / "rows.parquet")
        assert rows.schema.equals(CHANGED)
        kept, refused = table(plain, "index"), table(strict, "rejected")
        expected = [row_id for row_id in kept if row_id in refused]
        assert [row["row_id_a"] for row in rows.to_pylist()] == expected
        for row in rows.to_pylist():
            row_id = row["row_id_b"]
            assert row["change"] == change
            assert row["reasons"] == refused[row_id]["reasons"]
            assert row["primary_reason"] == refused[row_id]["primary_reason"]
            for name in ("shard", "row", "img_name", "z", "x", "y", "split"):
                assert row[name] == kept[row_id][name]


def test_a_subset_made_twice_is_the_same_and_one_of_the_same_rows_says_so(
    tree: Path, plain: Path, tmp_path: Path
) -> None:
    again = diff(plain, curated(tree, tmp_path / "again", splits=SPLITS), tmp_path / "rows.parquet")
    assert again.same_manifest
    assert again.same_rows
    assert (again.recipe, again.thresholds) == ((), ())
    assert pq.read_table(tmp_path / "rows.parquet").num_rows == 0
    other = diff(plain, curated(tree, tmp_path / "other", splits=SPLITS, caption_words={"min": 1}))
    assert (other.same_manifest, other.same_rows) == (False, True)
    assert [change.key for change in other.recipe] == ["subsets.0.caption_words.min"]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Subsets of two sources of Parquet files: B lacks A's first shard, has two of its last, and a new one between."""
    home = tmp_path_factory.mktemp("grown")
    for name, seeds in {"old": 0, "one": 10, "two": 20, "new": 42}.items():
        rows = [
            pair(seed) | {"image": {"bytes": pair(seed)["image"], "path": None}} for seed in range(seeds, seeds + 8)
        ]
        pq.write_table(pa.Table.from_pylist(rows), home / f"{name}.parquet")
    sources: dict[str, list[str]] = {"a": ["old", "one", "two"], "b": ["one", "new", "two", "two"]}
    made = []
    for source, shards in sources.items():
        folder = home / source
        folder.mkdir()
        for number, name in enumerate(shards):
            (folder / f"{number}.parquet").write_bytes((home / f"{name}.parquet").read_bytes())
        words = {"min": 20} if source == "b" else {}
        recipe = recipe_for(folder, home / f"made-{source}", subsets=[{"name": source, "caption_words": words}])
        made.append(publish_one(recipe))
    return made[0], made[1]


def test_rows_of_shards_that_moved_are_matched_by_content(grown: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = grown
    found = diff(a, b, tmp_path / "rows.parquet")
    assert (found.a.own_shards, found.a.own_rows) == (1, 8)
    assert (found.b.own_shards, found.b.own_rows) == (2, 16)
    rows = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    kept_a = {row["img_name"]: row for row in table(a, "index").values()}
    kept_b = {row["img_name"]: row for row in table(b, "index").values()}
    lost = {row["img_name"]: row for row in rows if row["change"] == "lost"}
    gained = {row["img_name"]: row for row in rows if row["change"] == "gained"}
    assert lost.keys() == kept_a.keys() - kept_b.keys()
    assert gained
    assert gained.keys() == kept_b.keys() - kept_a.keys()
    assert ReasonRows(reason=None, rows=8) in found.lost
    assert found.gained == (ReasonRows(reason=None, rows=len(gained)),)
    refused = table(b, "rejected")
    for name, row in lost.items():
        if row["row_id_b"] is None:
            assert (kept_a[name]["shard"], row["reasons"]) == ("0.parquet", None)
        else:
            assert refused[row["row_id_b"]]["img_name"] == name
            assert row["reasons"] == [Reason.CAPTION_TOO_SHORT]


def test_what_is_no_subset_or_damaged_is_named(plain: Path, tree: Path, tmp_path: Path) -> None:
    with pytest.raises(NotASubset, match=r"no manifest\.json"):
        diff(plain, tmp_path)
    other = curated(tree, tmp_path / "other")
    index = pq.read_table(other / "index.parquet")
    pq.write_table(index.slice(1), other / "index.parquet")
    with pytest.raises(SubsetDamaged, match=rf"found {len(index) - 1} and .* expected {len(index)} and"):
        diff(plain, other)
    pq.write_table(pa.concat_tables([index.slice(1), index.slice(1, 1)]), other / "index.parquet")
    with pytest.raises(SubsetDamaged, match="do not hold row id 0 once"):
        diff(plain, other)
    (other / "rejected.parquet").write_bytes(b"PAR1")
    with pytest.raises(SubsetDamaged, match=r"rejected\.parquet: cannot be read"):
        diff(plain, other)
