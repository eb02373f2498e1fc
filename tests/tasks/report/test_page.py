"""The report page: what it says, what it must never do, and that any subset renders."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest
from reports import MAX_PAGE_BYTES, group, jpeg, repeated_ids, report

from schemas.reasons import Reason
from schemas.reports import Funnel
from tasks.report.groups import GROUPED, GROUPS, MEMBERS
from tasks.report.html import percent
from tasks.report.page import Group, GroupSheet, render
from tasks.report.sheets import Picture, Sheet


class Tags(HTMLParser):
    """Collects every tag with its attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def text() -> str:
    """The text of a page on 10,000 rows of which 4,000 are kept, its white space collapsed."""
    return " ".join(Tags(render(report(10_000, kept_rows=4000))).text.split())


def test_same_data_give_the_same_bytes() -> None:
    assert render(report()) == render(report())


def test_headline_names_what_was_kept_and_what_cost_the_most(text: str) -> None:
    assert "4,000 of 10,000 pairs kept 40.0 %" in text
    assert "Most were lost to quality_below: 4,500 pairs (45.0 %)" in text


@pytest.mark.parametrize(
    "words",
    [
        *("1,500", "8,500", "85.0 %", "duplicate_near", "place_missing", "1,333", "score 3.10", "1 of 4,000"),
        *("CC-BY-NC-ND-4.0", "29f192b8", "Liu et al., Text2Earth, 2025", "pillow 13.0.0", "data-1.arrow"),
        *("cut short; 7 pairs were read", "Rules that are off", "img_name_repeated"),
        *("2 of 1,200 groups shown, 1,500 pairs rejected", "1,002 duplicates, among the largest", "1 duplicate kept"),
        *("and 1,000 more", "and 3 for other reasons", "note 1 score 4.5 a_1_2.jpg a_1_2.jpg"),
        *("≥ 4.8", "≥ 30", "≤ 90", "4,500 of 6,000"),
        "Counted in 1 captions of kept pairs and 1 of rejected ones, drawn at random from 1 of 2 shards",
    ],
)
def test_page_holds(words: str, text: str) -> None:
    assert words in text


def test_text_from_the_data_is_never_markup() -> None:
    page = Tags(render(report()))
    # The kept picture's caption, the recipe, and caption and name of a keeper and its one duplicate.
    assert page.text.count("<script>alert(1)</script>") == 2 + 4
    assert not [tag for tag, _ in page.tags if tag == "script"]


def test_nothing_is_loaded_from_anywhere() -> None:
    html = render(report())
    page = Tags(html)
    addresses = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in {"src", "srcset", "href", "xlink:href", "data", "action"}
    ]
    addresses += re.findall(r"url\(\s*['\"]?([^'\")]*)", html)
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses if address is not None)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed"}
    assert "@import" not in html


def test_every_picture_and_figure_has_words_in_its_stead() -> None:
    page = Tags(render(report()))
    assert all(attributes["alt"] for tag, attributes in page.tags if tag == "img")
    figures = [attributes["aria-label"] or "" for _, attributes in page.tags if attributes.get("role") == "img"]
    assert len(figures) == 5
    assert "Threshold: ≥ 30 and ≤ 90." in figures[-1].replace("\N{NO-BREAK SPACE}", " ")


def test_undecodable_picture_gets_a_placeholder() -> None:
    page = Tags(render(report()))
    assert "cannot be decoded" in page.text
    assert [tag for tag, _ in page.tags].count("img") == 1 + 5  # the kept one, and two groups


def test_empty_subset() -> None:
    page = Tags(render(report(kept_rows=0)))
    assert "No pair was kept" in page.text
    assert "No pair of the subset has a place." in page.text


def test_everything_kept() -> None:
    data = report(kept_rows=1000)
    unscathed = data.manifest.model_copy(update={"reasons": (), "flags": ()})
    page = Tags(render(replace(data, manifest=unscathed, group_sheets=(), rejected_sheets=())))
    assert "1,000 of 1,000 pairs kept" in page.text
    assert "No pair was rejected." in page.text
    assert "Duplicates" not in page.text


def test_the_keeper_is_marked_once_in_each_group_and_comes_first() -> None:
    sheets = tuple(GroupSheet(reason.value, reason.meaning, 4, 2, (group(), group(seed=9))) for reason in GROUPED)
    html = render(replace(report(), group_sheets=sheets))
    groups = html.split('<li class="group">')[1:]
    assert len(groups) == 2 * len(GROUPED)
    assert all(shown.count('<li class="keeper"><b class="badge">kept</b>') == 1 for shown in groups)
    assert all(shown.index("badge") < shown.index("<img") for shown in groups)


def test_a_picture_is_shown_either_in_a_group_or_among_the_rejected_and_both_can_be_linked_to() -> None:
    page = Tags(render(report()))
    links = [link for tag, of in page.tags if tag == "a" and "rejected-" in (link := of.get("href") or "")]
    assert links == ["#rejected-1", "#rejected-2"]  # duplicate_near, quality_below
    bars = {of.get("xlink:href") for tag, of in page.tags if tag == "a" and "xlink:href" in of}
    assert bars == {"#rejected-1", "#rejected-2"}
    assert {"rejected-1", "rejected-2"} <= {attributes.get("id") for _, attributes in page.tags}


def test_keeper_that_cannot_be_shown_is_marked_all_the_same() -> None:
    nameless = Group(Picture(None, None, None, "no score"), (Picture(jpeg(), None, None, "equal bytes"),), rows=1)
    sheet = GroupSheet("duplicate_bytes", "Equal.", 1, 1, (nameless,))
    text = " ".join(Tags(render(replace(report(), group_sheets=(sheet,)))).text.split())
    assert "1 of 1 group shown, 1 pair rejected" in text
    assert "1 duplicate kept no image bytes no score no caption unnamed equal bytes no caption unnamed" in text


def test_groups_out_of_reach_are_counted() -> None:
    sheet = GroupSheet("duplicate_bytes", "Equal.", 70, 50, ())
    page = Tags(render(replace(report(), group_sheets=(sheet,))))
    assert "0 of 50 groups shown, 70 pairs rejected" in page.text
    assert "No group is shown" in page.text


def test_source_without_rows() -> None:
    assert "The source holds no pair." in Tags(render(report(0))).text


def test_source_without_places_and_scores() -> None:
    nothing = {
        "longitude": pa.nulls(1000, pa.float64()),
        "latitude": pa.nulls(1000, pa.float64()),
        "z": pa.nulls(1000, pa.int8()),
        "img_quality_score": pa.array([np.nan] * 1000),
    }
    page = Tags(render(report(columns=nothing)))
    for words in ("No pair of the source has a place.", "No pair has a zoom level.", "No pair has a finite score."):
        assert words in page.text
    assert sum(attributes.get("role") == "img" for _, attributes in page.tags) == 1  # caption lengths are left


def test_an_id_stands_on_the_page_once() -> None:
    html = render(report())
    assert html.count("<svg") >= 5
    assert repeated_ids(html) == []
    missing = set(re.findall(r'(?:href="#|url\(#)([^")]+)', html)) - set(re.findall(r' id="([^"]*)"', html))
    assert missing == set()


def test_largest_page_is_within_the_limit() -> None:
    pictures = tuple(Picture(jpeg(seed=seed), '"' * 5000, '"' * 5000, '"' * 5000, '"' * 5000) for seed in range(30))
    data = report(200_000)
    others = tuple(Sheet(reason.value, reason.meaning, 30, pictures) for reason in Reason if reason not in GROUPED)
    many = tuple(
        GroupSheet(reason.value, reason.meaning, 900, 30, (Group(pictures[0], pictures, 30, 10**9, '"' * 30),) * 30)
        for reason in GROUPED
    )
    html = render(replace(data, kept_sheet=Sheet("Kept", "", 30, pictures), group_sheets=many, rejected_sheets=others))
    assert len(html.encode()) <= MAX_PAGE_BYTES
    assert "left out to keep" not in html
    assert html.count('<li class="group">') == GROUPS * len(GROUPED)
    assert html.count(f"and {30 - MEMBERS} more") == GROUPS * len(GROUPED)


def test_rows_that_do_not_belong_together_are_refused() -> None:
    data = report()
    with pytest.raises(ValueError, match="kept has 3 rows, but columns has 1000"):
        render(replace(data, kept=np.ones(3, np.bool_)))


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [(0, 5, "0.0 %"), (5, 5, "100.0 %"), (1, 3, "33.3 %"), (1, 10**6, "< 0.1 %"), (999_999, 10**6, "> 99.9 %")],
)
def test_percent_is_never_rounded_to_none_or_all(part: int, whole: int, shown: str) -> None:
    assert percent(part, whole) == shown
    assert f"{Funnel(source_rows=whole, steps=()).share(part)} %" == shown
