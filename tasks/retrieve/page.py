"""The page of a retrieval: a contact sheet for each text, in one HTML file that loads nothing."""

from collections.abc import Mapping

from schemas.retrieval import Hit, Retrieval
from tasks.report.html import template
from tasks.report.sheets import THUMBNAILS_BYTES, Picture, card


def render_retrieval(found: Retrieval, images: Mapping[int, bytes | None]) -> str:
    """Return the page as HTML, at most some 5 MB; ``images`` by row id, a row left out lies on another machine."""
    hits = sum(len(one.hits) for one in found.texts)
    budget_bytes = THUMBNAILS_BYTES // max(hits, 1)

    def picture(hit: Hit) -> Picture:
        problem = "" if hit.row_id in images else "its shard is not on this machine"
        note = f"cosine {hit.cosine:.3f}"
        return Picture(images.get(hit.row_id), hit.caption, hit.img_name, note, f"row {hit.row_id}", problem)

    sheets = [(one.text, [card(picture(hit), budget_bytes) for hit in one.hits]) for one in found.texts]
    return template("retrieval.html.j2").render(
        found=found, sheets=sheets, sections=[(f"text-{number}", text) for number, (text, _) in enumerate(sheets, 1)]
    )
