"""Semantic duplicates of rows whose vectors are made by hand: pairs, keepers, and what is kept in the workspace."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pairs import Row, encode, land, pair, recipe_for, scan_all, write_tree
from upath import UPath
from vectors import circle, write_vectors

from schemas.embedding import EmbedReport
from schemas.reasons import REASONS
from schemas.recipe import Recipe
from schemas.reports import DeduplicateReport, ScanReport
from schemas.tables import SEMANTIC_PAIRS
from tasks.deduplicate.known import known_duplicates
from tasks.deduplicate.stage import count_searches, find_duplicates
from tasks.embed.vectors import NotEmbedded
from tasks.files import read_parquet
from tasks.select.basis import Basis
from tasks.select.verdicts import give_verdicts

ALONE: dict[str, Any] = {"exact_bytes": False, "near": None}


def row(seed: int, picture: int | None = None, **changes: Any) -> Row:
    """A good row, the better the lower its seed; ``picture`` is another row's."""
    image = encode(land(seed if picture is None else picture))
    return pair(
        seed, **{"image": image, "caption": f"place {seed} " + "word " * 9, "img_quality_score": 9.0 - seed} | changes
    )


def scanned(home: Path, rows: list[Row], semantic: dict[str, Any], **deduplication: Any) -> tuple[Recipe, ScanReport]:
    recipe = recipe_for(
        write_tree(home / "source", rows, shards=2), home,
        scorers=[{"name": "by-hand"}, {"name": "other"}], deduplication={"semantic": semantic, **deduplication},
    )  # fmt: skip
    return recipe, scan_all(recipe)


def find(recipe: Recipe, scan: ScanReport, *embedded: EmbedReport) -> DeduplicateReport:
    return find_duplicates(scan, (), recipe.deduplication, recipe.workspace, embedded=embedded)


def judge(recipe: Recipe, scan: ScanReport, found: DeduplicateReport) -> list[dict[str, Any]]:
    verdicts = read_parquet(give_verdicts(recipe.subsets[0], Basis(recipe, scan, found)).verdicts).to_pylist()
    for verdict in verdicts:
        verdict["reasons"] = [reason.value for reason in REASONS if verdict["reasons"] & reason.bit]
    return verdicts


def pairs_of(found: DeduplicateReport) -> list[tuple[int, int]]:
    assert found.semantic is not None
    table = pq.read_table(found.semantic)
    assert table.schema.equals(SEMANTIC_PAIRS)
    return list(zip(table["row_a"].to_pylist(), table["row_b"].to_pylist(), strict=True))


def test_the_row_that_is_kept_is_named_with_the_cosine(tmp_path: Path) -> None:
    """A chain of four at 5 degrees each, and one apart; 0.99 is 8 degrees."""
    vectors = write_vectors(tmp_path, circle(0, 5, 10), circle(15, 90, None))
    recipe, scan = scanned(tmp_path, [row(n) for n in range(6)], {"min_cosine": 0.99}, **ALONE)
    found = find(recipe, scan, vectors)
    assert (found.semantic_pairs, pairs_of(found)) == (3, [(0, 1), (1, 2), (2, 3)])
    assert str(found) == "near-duplicates are off; 3 semantic pairs"
    judged = judge(recipe, scan, found)
    assert [verdict["kept"] for verdict in judged] == [True, False, True, False, True, True]
    assert [verdict["duplicate_of"] for verdict in judged] == [None, 0, None, 2, None, None]
    for lost in (judged[1], judged[3]):
        assert lost["reasons"] == ["duplicate_semantic"]
        assert lost["duplicate_distance"] is None
        assert lost["duplicate_similarity"] == pytest.approx(0.9962, abs=1e-3)


def test_a_picture_that_is_the_same_more_plainly_has_the_plainer_reason(tmp_path: Path) -> None:
    rows = [row(0), row(1, picture=0), row(2, image=encode(land(0).resize((200, 200)))), row(3), row(4, picture=3)]
    vectors = write_vectors(tmp_path, circle(0, 0, 0), circle(1, 1))
    recipe, scan = scanned(tmp_path, rows, {})
    judged = judge(recipe, scan, find(recipe, scan, vectors))
    expected = [[], ["duplicate_bytes"], ["duplicate_near"], ["duplicate_semantic"], ["duplicate_semantic"]]
    assert [verdict["reasons"] for verdict in judged] == expected
    assert {verdict["duplicate_of"] for verdict in judged} == {None, 0}


def test_rows_of_equal_bytes_are_one_picture_at_a_cosine_of_one(tmp_path: Path) -> None:
    """Rows 0, 2 and 4 have the same bytes; of no vector but the first is asked, and rows 1 and 3 are like it."""
    rows = [row(0), row(1), row(2, picture=0), row(3), row(4, picture=0), row(5, image=b"none"), row(6, image=b"none")]
    flags = {"rules": dict.fromkeys(("image_format", "image_undecodable"), "flag")}
    vectors = write_vectors(tmp_path, circle(0, 5, 90, 8), circle(90, None, None))
    recipe, scan = scanned(tmp_path, rows, {}, **ALONE)
    recipe = Recipe.model_validate(recipe.model_dump() | {"validation": flags})
    found = find(recipe, scan, vectors)
    assert pairs_of(found) == [(0, 1), (0, 3), (1, 3)]
    judged = judge(recipe, scan, found)
    assert [verdict["duplicate_of"] for verdict in judged] == [None, 0, 0, 0, 0, None, None]
    assert [judged[n]["duplicate_similarity"] for n in (2, 4)] == [1.0, 1.0]
    assert judged[5]["kept"]  # bytes that no model can see are nobody's semantic duplicate
    assert judged[6]["kept"]


def test_copies_of_a_row_that_was_lost_to_another_name_that_one(tmp_path: Path) -> None:
    rows = [row(0, img_quality_score=1.0), row(1, picture=0, img_quality_score=2.0), row(2)]
    vectors = write_vectors(tmp_path, circle(0, 0), circle(5))
    recipe, scan = scanned(tmp_path, rows, {}, **ALONE)
    assert [v["duplicate_of"] for v in judge(recipe, scan, find(recipe, scan, vectors))] == [2, 2, None]


@pytest.mark.filterwarnings("error")
def test_a_vector_of_length_0_is_like_nothing(clip_extra: None, tmp_path: Path) -> None:
    vectors = write_vectors(tmp_path, [[0.0, 0.0], *circle(0, 5)], [[0.0, 0.0], *circle(90, 91)])
    recipe, scan = scanned(tmp_path, [row(n) for n in range(6)], {"min_cosine": 0.99, "clusters": 2}, **ALONE)
    assert pairs_of(find(recipe, scan, vectors)) == [(1, 2), (4, 5)]


def test_pairs_are_found_once_and_belong_to_vectors_and_settings(tmp_path: Path) -> None:
    recipe, scan = scanned(tmp_path, [row(n) for n in range(4)], {}, **ALONE)
    vectors = write_vectors(tmp_path, circle(0, 5), circle(60, 62))
    others = write_vectors(tmp_path, circle(0, 60), circle(90, 120), scorer="other")
    heard: list[int] = []
    first = find_duplicates(
        scan, (), recipe.deduplication, recipe.workspace, lambda: heard.append(1), embedded=[vectors, others]
    )
    assert len(heard) == count_searches(recipe.deduplication) == 1
    assert first.semantic_pairs == 2
    again = known_duplicates(scan, (), recipe.deduplication, recipe.workspace, [vectors, others])
    assert again == first.model_copy(update={"reused": True})

    def by(**semantic: Any) -> DeduplicateReport:
        asked = recipe.deduplication.semantic.model_copy(update=semantic)  # type: ignore[union-attr]
        settings = recipe.deduplication.model_copy(update={"semantic": asked})
        return find_duplicates(scan, (), settings, recipe.workspace, embedded=[vectors, others])

    assert by(min_cosine=0.999).semantic_pairs == 1
    assert by(scorer="other").semantic_pairs == 0
    assert by(scorer="by-hand").semantic == first.semantic
    moved = UPath(tmp_path / "elsewhere")
    (tmp_path / "workspace").rename(moved)
    known = known_duplicates(scan, (), recipe.deduplication, moved, [vectors, others])
    assert known is not None
    assert known.semantic == moved / "semantic" / first.semantic.name  # type: ignore[union-attr]


def test_without_its_vectors_the_error_names_the_key(tmp_path: Path) -> None:
    recipe, scan = scanned(tmp_path, [row(0), row(1)], {"scorer": "other"})
    vectors = write_vectors(tmp_path, circle(0), circle(5))
    with pytest.raises(NotEmbedded, match=r"deduplication.semantic: found no vectors by other; run git10m embed"):
        find(recipe, scan, vectors)


def test_splits_may_part_semantic_duplicates_and_never_copies(tmp_path: Path) -> None:
    """All are like all; what keeps copies in one split must not put all of a class in one."""
    count = 40
    rows = [row(n % 20, picture=n % 20, img_name=f"{n}.jpg") for n in range(count)]
    vectors = write_vectors(tmp_path, circle(*range(0, 20)), circle(*range(0, 20)))
    recipe, scan = scanned(tmp_path, rows, {"min_cosine": 0.9}, **ALONE)
    basis = Basis(recipe, scan, find(recipe, scan, vectors))
    copies = basis.copies
    assert len(set(copies.near.tolist())) == 20
    assert copies.near.tolist() == [n % 20 for n in range(count)]
