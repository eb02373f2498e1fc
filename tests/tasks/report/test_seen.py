"""The report page as Chromium shows it: by light and dark, wide and narrow, on paper, by mouse and by keyboard."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from browser import Browser, Opened
from reports import HOSTILE, report

from tasks.report.page import render


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything in it, a hostile caption too; two splits."""
    data = report()
    names = ["train" if row % 3 else "test" for row in range(len(data.kept))]
    columns = data.columns.drop(["split"]).append_column(
        "split", [[name if kept else None for name, kept in zip(names, data.kept.tolist(), strict=True)]]
    )
    splits = {name: names[: len(names) // 2].count(name) for name in ("train", "test")}
    manifest = data.manifest.model_copy(update={"splits": splits})
    path = tmp_path_factory.mktemp("seen") / "report.html"
    path.write_text(render(replace(data, manifest=manifest, columns=columns)), "utf-8")
    return path


def overflow(opened: Opened) -> int:
    return int(opened.do(lambda page: page.evaluate("document.documentElement.scrollWidth - innerWidth")))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_all_is_shown_nothing_is_asked_for_and_nothing_is_complained_of(
    page: Path, browser: Browser, dark: bool, width: int
) -> None:
    opened = browser.open(page, dark=dark, width=width)
    assert opened.problems == []
    assert opened.requests == [page.as_uri()]
    sizes = opened.do(lambda page: page.evaluate("[...document.images].map(image => image.naturalWidth)"))
    assert len(sizes) == 1 + 5
    assert min(sizes) > 0
    assert (
        opened.do(lambda page: page.locator("figure svg").count()) == 7
    )  # two maps, three histograms, splits, reasons
    assert overflow(opened) <= 0
    colour = opened.do(lambda page: page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))) < 300) == dark


def test_a_hostile_caption_is_text(page: Path, browser: Browser) -> None:
    opened = browser.open(page)
    assert opened.do(lambda page: page.get_by_text(HOSTILE, exact=False).count()) > 0
    assert opened.do(lambda page: page.locator("script, main > img, img[src^=http], [onerror]").count()) == 0
    assert opened.do(lambda page: page.locator("img[alt*='<script>']").count()) > 0
    assert opened.problems == []


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_a_bar_opens_the_sheet_of_its_reason(page: Path, browser: Browser, by: str) -> None:
    opened = browser.open(page)
    sheet = opened.do(lambda page: page.locator("details:has(#rejected-2)"))
    assert opened.do(lambda page: sheet.get_attribute("open")) is None
    if by == "mouse":
        opened.do(lambda page: page.locator("figure svg a[tabindex]").last.click())
    else:
        opened.do(lambda page: page.locator("figure svg a:not([tabindex])").last.focus())
        opened.do(lambda page: page.keyboard.press("Enter"))
    opened.do(lambda page: page.wait_for_url("**#rejected-2"))
    assert opened.do(lambda page: sheet.get_attribute("open")) is not None
    assert 0 <= opened.do(lambda page: page.locator("#rejected-2").bounding_box())["y"] < 900


def test_the_keyboard_meets_a_way_past_the_contents_first_and_sees_where_it_is(page: Path, browser: Browser) -> None:
    opened = browser.open(page)
    opened.do(lambda page: page.keyboard.press("Tab"))
    focused = opened.do(
        lambda page: page.evaluate(
            "(() => { const at = document.activeElement, box = at.getBoundingClientRect();"
            " return [at.textContent, box.left >= 0, getComputedStyle(at).outlineStyle] })()"
        )
    )
    assert focused == ["Skip to the content", True, "solid"]
    opened.do(lambda page: page.keyboard.press("Enter"))
    assert opened.do(lambda page: page.evaluate("document.activeElement.id")) == "main"
    met = []
    for _ in range(4):
        opened.do(lambda page: page.keyboard.press("Tab"))
        met.append(opened.do(lambda page: page.evaluate("document.activeElement.textContent.trim()")))
    assert met == ["duplicate_near", "quality_below"] * 2  # in the chart, and in the table; a bar is no stop of its own


def test_headings_are_in_order_landmarks_are_there_and_an_id_is_there_once(page: Path, browser: Browser) -> None:
    opened = browser.open(page)
    levels = opened.do(
        lambda page: page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(heading => +heading.tagName[1])")
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert opened.do(lambda page: [page.locator(tag).count() for tag in ("header", "nav", "main")]) == [1, 1, 1]
    repeated = opened.do(
        lambda page: page.evaluate(
            "(() => { const ids = [...document.querySelectorAll('main [id]:not(svg *)')].map(at => at.id);"
            " return ids.filter((id, at) => ids.indexOf(id) != at) })()"
        )
    )
    assert repeated == []
    links = opened.do(lambda page: page.evaluate("[...document.querySelectorAll('nav a')].map(link => link.hash)"))
    assert all(opened.do(lambda page, at=link: page.locator(at).count()) == 1 for link in links)


def test_on_paper_all_sheets_are_open(page: Path, browser: Browser, tmp_path: Path) -> None:
    opened = browser.open(page, width=760)
    assert not opened.do(lambda page: page.locator("#rejected-2 .sheet").is_visible())
    opened.do(lambda page: page.emulate_media(media="print"))
    assert opened.do(lambda page: page.locator("#rejected-2 .sheet").is_visible())
    assert not opened.do(lambda page: page.locator("nav").is_visible())
    assert overflow(opened) <= 0
    written = opened.do(lambda page: page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True))
    assert written.startswith(b"%PDF")
