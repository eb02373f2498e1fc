import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["recipe", "reasons"])
def test_the_reference_is_what_the_code_says(page: str) -> None:
    written = runpy.run_path(str(DOCS / "reference.py"))[f"{page}_page"]()
    assert (DOCS / f"{page}.md").read_text(encoding="utf-8") == written, "run `python docs/reference.py`"
