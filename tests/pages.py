"""The project's pages as tests read them: fenced blocks, headings and links."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from hubserver import OWNER
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str  # the file's name
    line: int  # of its fence, the first of the page being 1
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*pages: Path) -> list[Block]:
    """Return every fenced block of ``pages``, in order."""
    return [
        Block(page.name, (token.map or [0])[0] + 1, token.info.strip(), token.content)
        for page in pages
        for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))
        if token.type == "fence"
    ]


def links(page: Path) -> Iterator[str]:
    """Yield where the links and images of ``page`` lead."""
    parser = MarkdownIt("commonmark").enable("table")
    for token in parser.parse(page.read_text(encoding="utf-8")):
        for child in token.children or ():
            if child.type in ("link_open", "image"):
                yield str(child.attrGet("href") or child.attrGet("src"))


def code_in_lines(page: Path) -> list[str]:
    """Return every piece of code within a line of text."""
    parser = MarkdownIt("commonmark").enable("table")
    tokens = parser.parse(page.read_text(encoding="utf-8"))
    return [child.content for token in tokens for child in token.children or () if child.type == "code_inline"]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    tokens = MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))
    headings = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def here(text: str, world: Path) -> str:
    """Return a block's text with ``/data`` in the folder ``world``, and the Hub's data set of one who may write."""
    return re.sub(r"(?<![\w.}])/data/", f"{world}/data/", text).replace(" me/", f" {OWNER}/")
