"""Every link of README and the pages leads somewhere, and the README's table has every page once."""

import re
from pathlib import Path

import pytest
from pages import PAGES, ROOT, anchors, links

MARKDOWN = [*PAGES, ROOT / "benchmarks" / "README.md"]


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_that_there_are(page: Path) -> None:
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_s_table_has_every_page_once() -> None:
    table = re.findall(r"^\| \[(docs/[\w.-]+)\]\((docs/[\w.-]+)\) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert all(name == target for name, target in table)
    pages = [path for path in (ROOT / "docs").iterdir() if path.suffix in (".md", ".json")]
    assert sorted(name for name, _ in table) == sorted(path.relative_to(ROOT).as_posix() for path in pages)


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "docs"], ids=lambda page: page.stem)
def test_each_page_opens_with_what_it_answers(page: Path) -> None:
    title, blank, first, *_ = page.read_text(encoding="utf-8").splitlines()
    assert title.startswith("# ")
    assert blank == ""
    assert re.match(r"[A-Z]|`\w", first), "no words below the title"


def test_the_tests_that_the_page_on_crashes_names_are_there() -> None:
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs" / "crashes.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    for path, name in named:
        assert f"def {name}(" in (ROOT / "tests" / path).read_text(encoding="utf-8") if name else True, (path, name)
        assert (ROOT / "tests" / path).is_file()
