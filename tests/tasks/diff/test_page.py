"""The page of a comparison: what is gathered of two real subsets, what is said where it is not at hand, its looks."""

import json
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq
import pytest
from browser import Browser
from pairs import Row, encode, pair, picture, publish_one, recipe_for, write_tree
from PIL import Image
from reports import MAX_PAGE_BYTES, repeated_ids
from upath import UPath

from schemas.difference import Change
from tasks.diff.page import gather
from tasks.diff.samples import ABSENT_TITLE, PICTURES
from tasks.diff.stage import compare
from tasks.diff.verdicts import Sides
from tasks.report.comparison import ComparisonData, render_comparison

HOSTILE = "</script><img src=http://example.org/x.png onerror=alert(1)> a town"


def curated(tree: Path, home: Path, *, output: dict[str, Any] | None = None, **subset: Any) -> Path:
    """Curate ``tree``; as a run would, note where the workspace is."""
    workspace = tree.parent / "workspace"
    settings = {"dir": home / "subsets"} | (output or {})
    recipe = recipe_for(tree, home, subsets=[{"name": "made"} | subset], workspace=workspace, output=settings)
    made = publish_one(recipe)
    (made / "run.json").write_text(json.dumps({"recipe": {"workspace": str(workspace)}}))
    return made


def compared(a: Path, b: Path) -> ComparisonData:
    sides = Sides.of(UPath(a), UPath(b))
    return gather(sides, compare(sides))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [pair(seed, caption=f"{HOSTILE} number {seed}") for seed in range(60)]
    rows[3] = pair(3, image=encode(picture(3))[:-200])
    rows[20] = pair(20, image=rows[40]["image"], img_quality_score=1.0)
    return write_tree(tmp_path_factory.mktemp("source") / "tiny", rows, shards=3)


@pytest.fixture(scope="module")
def all_words(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return curated(tree, tmp_path_factory.mktemp("a"), quality={"min_score": 3.2})


@pytest.fixture(scope="module")
def good(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return curated(tree, tmp_path_factory.mktemp("b"), quality={"min_score": 4.2}, caption_words={"max": 100})


def rows_of(directory: Path, name: str) -> dict[str, Row]:
    return {row["img_name"]: row for row in pq.read_table(directory / f"{name}.parquet").to_pylist()}


def test_lost_pairs_are_shown_with_their_own_picture_caption_and_what_was_measured(all_words: Path, good: Path) -> None:
    data = compared(all_words, good)
    [sheet], why = data.lost
    assert (why, data.gained) == ("", ((), ""))
    refused = rows_of(good, "rejected")
    kept = {row["img_name"]: row for path in (all_words / "data").iterdir() for row in pq.read_table(path).to_pylist()}
    assert (sheet.title, len(sheet.pictures)) == ("quality_below", PICTURES)
    for shown in sheet.pictures:
        name = str(shown.img_name)
        assert shown.image == kept[name]["image"]["bytes"]
        assert shown.caption == kept[name]["caption"]
        assert shown.note == f"img_quality_score: {refused[name]['measured'][0]:g}"
    assert compared(good, all_words).gained == data.lost


def test_the_same_subsets_give_the_same_page(all_words: Path, good: Path) -> None:
    html = render_comparison(compared(all_words, good))
    assert html == render_comparison(compared(all_words, good))
    assert len(html.encode()) < MAX_PAGE_BYTES
    assert repeated_ids(html) == []


def test_figures_are_of_the_kept_pairs_of_both(all_words: Path, good: Path) -> None:
    data = compared(all_words, good)
    assert not isinstance(data.figures, str)
    assert [int(side.kept.sum()) for side in data.figures] == [data.difference.a.kept, data.difference.b.kept]
    html = render_comparison(data)
    scores = [
        median(
            row["img_quality_score"] for path in (made / "data").iterdir() for row in pq.read_table(path).to_pylist()
        )
        for made in (all_words, good)
    ]
    a, b = (f"median {score:.4g}, threshold ≥\N{NO-BREAK SPACE}" for score in scores)
    assert f"A: {a}3.2; B: {b}4.2." in html
    assert html.count("<figure>") == 5


def test_tars_are_read_and_an_index_says_that_it_has_no_pictures(tree: Path, good: Path, tmp_path: Path) -> None:
    tars = curated(tree, tmp_path / "tars", output={"format": "webdataset"})
    [sheet], why = compared(tars, good).lost
    assert why == ""
    assert {Image.open(BytesIO(shown.image or b"")).size for shown in sheet.pictures} == {(256, 256)}
    assert all(HOSTILE in str(shown.caption) for shown in sheet.pictures)
    index = curated(tree, tmp_path / "index", output={"mode": "index"})
    assert compared(index, good).lost == ((), "it is an index, and has no pictures")
    assert "No pictures are shown of A: it is an index" in render_comparison(compared(index, good))


def test_rows_that_the_other_source_does_not_have_have_a_sheet(good: Path, tmp_path: Path) -> None:
    other = write_tree(tmp_path / "other", [pair(seed) for seed in range(100, 110)])
    data = compared(curated(other, tmp_path / "made"), good)
    assert [(sheet.title, sheet.rows) for sheet in data.lost[0]] == [(ABSENT_TITLE, 10)]
    assert [(sheet.title, sheet.rows) for sheet in data.gained[0]] == [(ABSENT_TITLE, data.difference.b.kept)]
    assert "not in the source of B" in render_comparison(data)


def test_what_is_not_at_hand_is_said(tree: Path, good: Path, tmp_path: Path) -> None:
    made = curated(tree, tmp_path / "made")
    for run, told in (
        ("{}", "A: its run.json does not say where the workspace is"),
        (json.dumps({"recipe": {"workspace": str(tmp_path)}}), "no signals of data-00000-of-00003.arrow"),
    ):
        (made / "run.json").write_text(run)
        data = compared(made, good)
        assert told in str(data.figures)
        html = render_comparison(data)
        assert told in html
        assert "<figure>" not in html
    for path in (made / "data").iterdir():
        path.unlink()
    sheets, why = compared(made, good).lost
    assert not sheets
    assert "data/train-00000-of-00001.parquet" in why


def test_a_subset_and_itself(good: Path) -> None:
    html = render_comparison(compared(good, good))
    assert "The same subset, byte for byte" in html
    assert "Both keep the same pairs." in re.sub(r"\s+", " ", html)


def test_two_sources_are_both_named_and_of_many_settings_it_says_how_many_more(good: Path) -> None:
    data = compared(good, good)
    found = data.difference
    assert f": two subsets of {found.a.source}</title>" in render_comparison(data)
    changes = tuple(Change(key=f"key.{number}", a=number, b=None) for number in range(1_700))
    other = found.b.model_copy(update={"source": "another"})
    html = render_comparison(replace(data, difference=found.model_copy(update={"b": other, "recipe": changes})))
    assert f": subsets of {found.a.source} and another</title>" in html
    assert f"And {1_700 - html.count('<code>key.'):,} more" in html


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_shown_whole_and_asks_for_nothing(
    all_words: Path, good: Path, tmp_path: Path, browser: Browser, dark: bool, width: int
) -> None:
    page = tmp_path / "comparison.html"
    page.write_text(render_comparison(compared(all_words, good)), "utf-8")
    opened = browser.open(page, dark=dark, width=width)
    assert opened.problems == []
    assert opened.requests == [page.as_uri()]
    assert opened.do(lambda page: page.evaluate("document.documentElement.scrollWidth - innerWidth")) <= 0
    sizes = opened.do(lambda page: page.evaluate("[...document.images].map(image => image.naturalWidth)"))
    assert len(sizes) == PICTURES
    assert min(sizes) > 0
    assert opened.do(lambda page: page.locator("script, [onerror]").count()) == 0
    assert opened.do(lambda page: page.get_by_text(HOSTILE).count()) == PICTURES
    opened.do(lambda page: page.locator("table a", has_text="quality_below").click())
    opened.do(lambda page: page.wait_for_url("**#lost-1"))
    assert opened.do(lambda page: page.locator("#lost-1").is_visible())
