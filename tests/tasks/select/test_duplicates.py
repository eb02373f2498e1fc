import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pairs import Row, encode, land, pair, recipe_for, scan_all, write_tree
from PIL import Image
from signals import scanned, select, verdicts

from schemas.reasons import REASONS, Reason
from schemas.recipe import Recipe
from schemas.reports import ReferenceReport
from tasks.deduplicate.stage import find_duplicates
from tasks.files import read_parquet
from tasks.select.basis import Basis
from tasks.select.thresholds import ColumnAbsent
from tasks.select.verdicts import give_verdicts

OFF = {"exact_bytes": False, "near": None}


def row(seed: int, picture: Image.Image | None = None, **changes: Any) -> Row:
    """A good row with a picture, a caption and a tile of its own."""
    data = encode(picture or land(seed))
    return pair(seed, **{"image": data, "caption": f"place {seed} " + "word " * 9, "img_quality_score": 5.0} | changes)


def judge(home: Path, rows: list[Row], deduplication: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    """Scan, deduplicate and select ``rows``; return their verdicts, reasons in words."""
    recipe = recipe_for(write_tree(home / "source", rows), home, deduplication=deduplication, **changes)
    return judge_by(recipe)


def judge_by(recipe: Recipe, references: tuple[ReferenceReport, ...] = ()) -> list[dict[str, Any]]:
    scan = scan_all(recipe)
    duplicates = find_duplicates(scan, references, recipe.deduplication, recipe.workspace)
    selected = give_verdicts(recipe.subsets[0], Basis(recipe, scan, duplicates))
    verdicts = read_parquet(selected.verdicts).to_pylist()
    for verdict in verdicts:
        verdict["reasons"] = [reason.value for reason in REASONS if verdict["reasons"] & reason.bit]
    return verdicts


def reasons(verdicts: list[dict[str, Any]]) -> list[list[str]]:
    return [verdict["reasons"] for verdict in verdicts]


def keepers(verdicts: list[dict[str, Any]]) -> list[int | None]:
    return [verdict["duplicate_of"] for verdict in verdicts]


def as_png(picture: Image.Image) -> bytes:
    """What the JPEG of ``picture`` decodes to, without loss."""
    return encode(Image.open(io.BytesIO(encode(picture))), "PNG")


def test_a_picture_carries_the_plainest_way_in_which_it_is_a_copy(tmp_path: Path) -> None:
    rows = [
        row(1, img_quality_score=9.0),
        row(2, land(1)),
        row(3, image=as_png(land(1))),
        row(4, land(1).resize((128, 128))),
        row(5),
    ]
    on = {"exact_pixels": True}
    found = judge(tmp_path, rows, on, scan={"pixel_digest": True})
    assert reasons(found) == [[], ["duplicate_bytes"], ["duplicate_pixels"], ["duplicate_near"], []]
    assert keepers(found) == [None, 0, 0, 0, None]
    assert [verdict["duplicate_distance"] for verdict in found[1:3]] == [0, 0]
    assert found[3]["duplicate_distance"] <= 2
    assert found[3]["duplicate_similarity"] > 0.98
    assert found[1]["duplicate_similarity"] is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"exact_bytes": True, "near": None}, [["duplicate_bytes"], [], []]),
        ({"exact_bytes": False, "near": None, "exact_pixels": True}, [["duplicate_pixels"], ["duplicate_pixels"], []]),
        ({"exact_bytes": False}, [["duplicate_near"], ["duplicate_near"], ["duplicate_near"]]),
        (OFF, [[], [], []]),
    ],
)
def test_each_way_is_off_unless_it_is_on(tmp_path: Path, settings: dict[str, Any], expected: list[list[str]]) -> None:
    picture = land(1)
    rows = [
        row(1, img_quality_score=9.0),
        row(2, picture),
        row(3, image=as_png(picture)),
        row(4, picture.resize((9, 9))),
    ]
    rows[3]["image"] = encode(picture.resize((99, 99)))
    assert reasons(judge(tmp_path, rows, settings, scan={"pixel_digest": True}))[1:] == expected


def test_of_rows_of_one_tile_the_best_is_kept(tmp_path: Path) -> None:
    rows = [row(n, Google_location="13_7_9", img_quality_score=float(n)) for n in (1, 3, 2)]
    rows += [row(4, Google_location="12_7_9", resolution=32.0), row(5, Google_location=None, resolution=None)]
    rows += [row(6, Google_location=None, resolution=None)]
    found = judge(tmp_path, rows, OFF | {"same_tile": True})
    assert reasons(found) == [["duplicate_tile"], [], ["duplicate_tile"], [], [], []]
    assert keepers(found) == [1, None, 1, None, None, None]
    assert found[0]["duplicate_distance"] is None


@pytest.mark.parametrize(("policy", "kept"), [("finest", [2, 3, 4]), ("coarsest", [0, 3, 4])])
def test_of_nested_tiles_the_policy_keeps_one_end(tmp_path: Path, policy: str, kept: list[int]) -> None:
    tiles = ["10_532_356", "12_2128_1424", "18_136192_91136", "10_533_356", None]
    names = {"10": 128.0, "12": 32.0, "18": 0.5}
    rows = [
        row(n, Google_location=tile, resolution=names[tile[:2]] if tile else None, img_quality_score=float(9 - n))
        for n, tile in enumerate(tiles)
    ]
    found = judge(tmp_path, rows, OFF | {"nested_tiles": policy})
    assert [number for number, verdict in enumerate(found) if verdict["kept"]] == kept
    lost = [verdict for verdict in found if not verdict["kept"]]
    assert all(verdict["reasons"] == ["nested_tile"] and verdict["duplicate_of"] in (0, 2) for verdict in lost)


def test_a_tile_at_zoom_30_has_its_ancestors_too(tmp_path: Path) -> None:
    x, y = 2**30 - 1, 2**30 - 2
    rows = [
        row(1, Google_location=f"30_{x}_{y}", resolution=2.0**-13),
        row(2, Google_location=f"3_{x >> 27}_{y >> 27}", resolution=2.0**14),
        row(3, Google_location="3_0_0", resolution=2.0**14),
    ]
    assert reasons(judge(tmp_path, rows, OFF | {"nested_tiles": "finest"})) == [[], ["nested_tile"], []]


def test_of_a_caption_no_more_copies_are_kept_than_may_be(tmp_path: Path) -> None:
    texts = [
        "A  Template of  Words",
        "a template of words",
        "another text",
        "a template of\nwords",
        "a template of words",
    ]
    rows = [row(n, caption=text, img_quality_score=float(n)) for n, text in enumerate(texts)]
    found = judge(tmp_path, rows, OFF | {"caption_copies": 2})
    assert reasons(found) == [["duplicate_caption"], ["duplicate_caption"], [], [], []]
    assert keepers(found) == [4, 4, None, None, None]
    assert [v["kept"] for v in judge(tmp_path / "more", rows, OFF | {"caption_copies": 4})] == [True] * 5


def test_a_row_carries_every_reason_and_names_the_keeper_of_the_first(tmp_path: Path) -> None:
    rows = [
        row(1, caption="one and the same", img_quality_score=9.0),
        row(2, Google_location="13_1_1", img_quality_score=8.0),
        row(3, land(2), caption="one and the same", Google_location="13_1_1"),
    ]
    found = judge(tmp_path, rows, {"same_tile": True, "caption_copies": 1})
    assert reasons(found) == [[], [], ["duplicate_bytes", "duplicate_tile", "duplicate_caption"]]
    assert keepers(found) == [None, None, 1]


COPIES = [
    row(1, land(1), img_quality_score=5.0, caption="short", img_name="plain.jpg"),
    row(2, land(1).resize((200, 200)), img_quality_score=9.0, caption="a longer one", img_name="other.jpg"),
    row(
        3, land(1).resize((64, 64)), img_quality_score=7.0, caption="the longest of them all", img_name="a_GOOGLE_b.jpg"
    ),
]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, 1),
        ({"priority": ["caption_words"]}, 2),
        ({"priority": ["image_bytes"]}, 0),
        ({"priority": []}, 0),
        ({"preferred": [{"field": "img_name", "pattern": "*_GOOGLE_*"}]}, 2),
        ({"preferred": [{"field": "img_name", "pattern": "p?ain.jpg"}, {"field": "format", "pattern": "JPEG"}]}, 0),
        ({"preferred": [{"field": "img_name", "pattern": "P*"}, {"field": "img_name", "pattern": "a_google*"}]}, 1),
        ({"preferred": [{"field": "shard", "pattern": "data-00001*"}]}, 2),
        ({"preferred": [{"field": "shard", "pattern": "data-00000*"}]}, 1),
        ({"priority": ["quality"], "preferred": [{"field": "img_name", "pattern": "plain.jpg"}]}, 1),
    ],
)
def test_the_recipe_says_which_copy_is_the_best(tmp_path: Path, settings: dict[str, Any], kept: int) -> None:
    found = judge(tmp_path, COPIES, settings)
    assert [verdict["kept"] for verdict in found] == [number == kept for number in range(3)]
    assert {verdict["duplicate_of"] for verdict in found} == {None, kept}


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"same_tile": True}, "same_tile"), ({"nested_tiles": "finest"}, "nested_tiles")],
)
def test_what_needs_a_column_that_is_absent_is_an_error_with_the_key(
    tmp_path: Path, settings: dict[str, Any], key: str
) -> None:
    source = write_tree(tmp_path / "source", [row(1)], shards=1)
    recipe = recipe_for(source, tmp_path, deduplication=settings)
    columns = recipe.source.columns.model_copy(update={"Google_location": ""})
    recipe = recipe.model_copy(update={"source": recipe.source.model_copy(update={"columns": columns})})
    with pytest.raises(ColumnAbsent, match=f"deduplication.{key} needs the column Google_location"):
        judge_by(recipe)


def test_digests_that_begin_alike_are_not_taken_for_equal(tmp_path: Path) -> None:
    digests = [b"12345678" + bytes(24), b"12345678" + bytes(23) + b"x", None, b"12345678" + bytes(24), b"9" * 32]
    found = verdicts(select(tmp_path, scanned(tmp_path, [{"sha256": digest} for digest in digests])))
    assert [verdict["duplicate_of"] for verdict in found] == [None, None, None, 0, None]


def reference_of(home: Path, name: str, rows: list[Row]) -> ReferenceReport:
    recipe = recipe_for(write_tree(home / name, rows, shards=1), home, scan={"pixel_digest": True})
    return ReferenceReport(name=name, scan=scan_all(recipe))


def test_a_copy_of_a_reference_picture_is_never_kept_and_names_it(tmp_path: Path) -> None:
    benchmark = reference_of(
        tmp_path,
        "benchmark",
        [row(50, img_name="airport_1.jpg"), row(51, img_name=None), row(52, img_name="port_3.jpg")],
    )
    other = reference_of(tmp_path, "other", [row(60, land(52), img_name="again.jpg")])
    rows = [
        row(1),
        row(2, land(50)),
        row(3, land(51).resize((150, 150))),
        row(4, image=as_png(land(52))),
        row(5, land(50).transpose(Image.Transpose.ROTATE_180)),
        row(6, land(51).resize((70, 70)), img_quality_score=9.0),
    ]
    references = [{"path": "unused", "name": "benchmark"}, {"path": "unused", "name": "other"}]
    settings = {"exact_pixels": True, "near": {"any_orientation": True}, "references": references}
    source = write_tree(tmp_path / "source", rows)
    recipe = recipe_for(source, tmp_path, deduplication=settings, scan={"pixel_digest": True})
    found = judge_by(recipe, (benchmark, other))
    assert [verdict["reference"] for verdict in found] == [
        None,
        "benchmark: airport_1.jpg",
        "benchmark: data-00000-of-00001.arrow row 1",
        "benchmark: port_3.jpg",
        "benchmark: airport_1.jpg",
        "benchmark: data-00000-of-00001.arrow row 1",
    ]
    assert reasons(found) == [[], *[["contaminated"]] * 5]  # none of them was kept, so none is a duplicate
    assert [verdict["reference_distance"] for verdict in found[1:4:2]] == [0, 0]
    assert all(verdict["duplicate_of"] is None for verdict in found)


def test_without_near_only_equal_pictures_are_contaminated(tmp_path: Path) -> None:
    benchmark = reference_of(tmp_path, "benchmark", [row(50)])
    rows = [row(1), row(2, land(50)), row(3, land(50).resize((99, 99)))]
    settings = {"near": None, "references": [{"path": "unused", "name": "benchmark"}]}
    recipe = recipe_for(write_tree(tmp_path / "source", rows), tmp_path, deduplication=settings)
    assert reasons(judge_by(recipe, (benchmark,))) == [[], ["contaminated"], []]


def test_reasons_of_duplicates_come_in_stage_order() -> None:
    masks = [reason.bit for reason in Reason if reason.value.startswith(("duplicate", "nested", "contaminated"))]
    assert masks == sorted(masks)
    assert np.log2(masks[0]).is_integer()
