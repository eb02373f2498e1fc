"""What a report shows of a real source: which rows, what is read for them, and what is not decoded."""

import re
from collections import Counter
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import Row, encode, pair, picture, recipe_for, scan_all, write_tree
from PIL import Image

from schemas.recipe import Recipe
from tasks.deduplicate.stage import find_duplicates
from tasks.report import samples
from tasks.report.page import Group, ReportData, render
from tasks.report.samples import gather
from tasks.report.sheets import Picture
from tasks.select.basis import Basis
from tasks.select.verdicts import give_verdicts
from tasks.source.listing import shards_of
from tasks.write.manifest import draft_manifest
from tasks.write.schema import data_schema

EVERYTHING = {"exact_pixels": True, "same_tile": True, "nested_tiles": "finest", "caption_copies": 1}


def sampled(recipe: Recipe) -> ReportData:
    """Curate in this process, up to what a report is made of."""
    shards, scan, subset = shards_of(recipe), scan_all(recipe), recipe.subsets[0]
    found = find_duplicates(scan, (), recipe.deduplication, recipe.workspace)
    selected = give_verdicts(subset, Basis(recipe, scan, found))
    draft = draft_manifest(recipe, subset, scan, found, selected, data_schema(scan))
    return gather(draft, shards, scan, selected.verdicts)


def png(seed: int) -> bytes:
    return encode(picture(seed), "PNG")


def copies() -> list[Row]:
    """Good rows, of which some are duplicates: one of each kind; and a flat one, and one that is cut short."""
    rows = [pair(seed, image=png(seed), caption=f"picture number {seed} is like no other") for seed in range(20)]
    worse: Row = {"img_quality_score": 1.5}
    softer = encode(picture(2).resize((128, 128)).resize((256, 256)), quality=60)
    rows += [
        pair(100, image=rows[0]["image"], **worse),
        pair(101, image=encode(picture(1), "WEBP", lossless=True), **worse),
        pair(102, image=softer, **worse),
        pair(103, Google_location=rows[3]["Google_location"], **worse),
        pair(104, Google_location="12_2_2000", **worse),  # around the tiles of rows 4 and 5
        pair(105, caption=rows[5]["caption"], **worse),
        pair(106, image=encode(Image.new("RGB", (256, 256), (90, 120, 200)))),
        pair(107, image=rows[7]["image"][:2000]),
    ]
    return rows


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    home = tmp_path_factory.mktemp("samples")
    rows = copies()
    rows[2]["img_name"] = None
    tree = write_tree(home / "tree", rows)
    validation = {"rules": {"image_blank": "flag", "img_name_missing": "flag"}}
    return sampled(recipe_for(tree, home, scan={"pixel_digest": True}, deduplication=EVERYTHING, validation=validation))


def told(group: Group) -> list[tuple[str | None, str, str]]:
    return [(shown.img_name, shown.note, shown.aside) for shown in (group.keeper, *group.members)]


def test_a_group_of_every_reason_with_its_keeper(data: ReportData) -> None:
    groups = {sheet.title: [told(group) for group in sheet.shown] for sheet in data.group_sheets}
    [[keeper, near]] = groups.pop("duplicate_near")
    assert groups == {
        "duplicate_bytes": [[("tile_0.jpg", "score 3", ""), ("tile_100.jpg", "equal bytes", "score 1.5")]],
        "duplicate_pixels": [[("tile_1.jpg", "score 3.7", ""), ("tile_101.jpg", "equal pixels", "score 1.5")]],
        "duplicate_tile": [
            [("tile_3.jpg", "score 3.1, tile 13_3_4000", ""), ("tile_103.jpg", "same tile", "score 1.5")]
        ],
        "nested_tile": [
            [
                ("tile_5.jpg", "score 4.5, tile 13_5_4000", ""),
                ("tile_104.jpg", "tile 12_2_2000, around the kept one", "score 1.5"),
            ]
        ],
        "duplicate_caption": [[("tile_5.jpg", "score 4.5", ""), ("tile_105.jpg", "same caption", "score 1.5")]],
    }
    assert keeper == ("row 2", "score 4.4", "")  # it has no name
    assert near[0] == "tile_102.jpg"
    assert re.fullmatch(r"\d of 64 bits, similarity (0\.[89]\d|1\.00)", near[1])


def test_no_duplicate_is_shown_a_second_time_among_the_rejected(data: ReportData) -> None:
    assert [sheet.title for sheet in data.rejected_sheets] == ["image_truncated"]
    grouped = {sheet.title for sheet in data.group_sheets}
    assert grouped | {"image_truncated"} == {count.reason.value for count in data.manifest.reasons}


def test_the_page_holds_every_group(data: ReportData) -> None:
    html = render(data)
    assert html.count('<li class="keeper">') == 6
    assert all(name in html for name in ("tile_<wbr>104.jpg", "row 2", 'alt="picture number 5 is like no other"'))


def test_a_flat_picture_is_shown_and_what_the_scan_could_not_decode_is_not(data: ReportData) -> None:
    kept = {shown.img_name: shown for shown in data.kept_sheet.pictures}
    assert kept["tile_106.jpg"].problem == ""
    [cut] = data.rejected_sheets[0].pictures
    assert (cut.img_name, cut.problem) == ("tile_107.jpg", "cannot be decoded")


def test_same_source_and_recipe_give_the_same_samples(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", copies())
    first, again = (sampled(recipe_for(tree, tmp_path / home)) for home in ("a", "b"))
    assert (first.kept_sheet, first.group_sheets) == (again.kept_sheet, again.group_sheets)


def test_of_a_source_elsewhere_a_few_shards_are_read_those_with_most_duplicates_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(samples, "FETCHED_SHARDS", 2)
    rows = [pair(seed) for seed in range(48)]  # eight shards of six rows
    for row, original in ((7, 31), (8, 32), (9, 33), (20, 44)):  # shards 1 and 5, three times; 3 and 7
        rows[row] = pair(row, image=rows[original]["image"], img_quality_score=1.0)
    tree = write_tree(tmp_path / "tree", rows, shards=8)
    fsspec.filesystem("memory").put(f"{tree}/", "/samples/tiny/", recursive=True)
    try:
        data = sampled(recipe_for("memory://samples/tiny", tmp_path))
    finally:
        fsspec.filesystem("memory").rm("/samples", recursive=True)
    [sheet] = data.group_sheets
    assert (sheet.groups, len(sheet.shown)) == (4, 3)
    shown: list[Picture] = [*data.kept_sheet.pictures]
    shown += [other for group in sheet.shown for other in (group.keeper, *group.members)]
    numbers = {int((other.img_name or "").removeprefix("tile_").removesuffix(".jpg")) for other in shown}
    assert {number // 6 for number in numbers} == {1, 5}
    assert (data.captions.kept + data.captions.rejected, data.captions_drawn) == (
        12,
        ", drawn at random from 2 of 8 shards",
    )


def test_images_that_the_scan_did_not_read_are_not_decoded(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", [pair(seed, caption="one caption for all") for seed in range(4)])
    only_captions = {"exact_bytes": False, "near": None, "caption_copies": 1}
    data = sampled(recipe_for(tree, tmp_path, scan={"images": False}, deduplication=only_captions))
    [sheet] = data.group_sheets
    [group] = sheet.shown
    assert {shown.problem for shown in (group.keeper, *group.members)} == {"was not read by the scan"}


def test_captions_of_all_rows_are_counted_where_they_are_few(data: ReportData) -> None:
    kept = int(data.kept.sum())
    assert (data.captions.kept, data.captions.rejected, data.captions_drawn) == (kept, len(data.kept) - kept, "")
    openers = {phrase.text: (phrase.kept, phrase.rejected) for phrase in data.captions.openers}
    assert openers["picture number 5"][0] + openers["picture number 5"][1] == 2
    assert sum(phrase.kept for phrase in data.captions.words if phrase.text == "picture") >= kept - 1


def test_of_many_captions_some_of_kept_and_some_of_rejected_rows_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "COUNTED_CAPTIONS", 4)
    monkeypatch.setattr(samples, "COUNTED_SHARDS", 3)
    tree = write_tree(tmp_path / "tree", [pair(seed) for seed in range(48)], shards=6)
    subsets = [{"name": "good", "quality": {"min_score": 4.0}}]
    first, again = (sampled(recipe_for(tree, tmp_path / home, subsets=subsets)) for home in ("a", "b"))
    assert (first.captions.kept, first.captions.rejected) == (4, 4)
    assert first.captions_drawn == ", drawn at random from 3 of 6 shards"
    assert first.captions == again.captions


def test_a_source_without_captions_has_none_to_count(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rows = [{"image": {"bytes": pair(seed)["image"], "path": None}} for seed in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "0.parquet")
    data = sampled(recipe_for(folder, tmp_path))
    assert (data.captions.kept, data.captions.rejected) == (0, 0)
    assert 'id="captions"' not in render(data)


def test_the_split_of_each_kept_row_is_there_for_the_map(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", [pair(seed) for seed in range(40)])
    parted = [{"name": "parted", "splits": {"fractions": {"train": 0.5, "test": 0.5}}}]
    data = sampled(recipe_for(tree, tmp_path, subsets=parted))
    assert Counter(data.columns["split"].to_pylist()) == data.manifest.splits
    html = render(data)
    assert "<h3>Splits</h3>" in html
    assert all(f"{name}, {rows} pairs" in html for name, rows in data.manifest.splits.items())
