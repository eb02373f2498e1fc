"""A small source with duplicates and defects, and what the real flow makes of it."""

from pathlib import Path

import pytest
from pairs import encode, pair, picture, tiny_recipe, write_tree

from flows.curate import curate
from schemas.reports import CurateReport


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [pair(seed) for seed in range(60)]
    rows[3] = pair(3, image=encode(picture(3))[:-200])
    rows[5] = pair(5, image=None)
    rows[6] = pair(6, caption=" ")
    rows[20] = pair(20, image=rows[40]["image"], img_quality_score=1.0)  # equal bytes, worse
    rows[21] = pair(21, image=encode(picture(41), quality=55), img_quality_score=9.0)  # recompressed, better
    rows[22] = pair(22, Google_location="public_22")
    return write_tree(tmp_path_factory.mktemp("source") / "tiny", rows, shards=5)


@pytest.fixture(scope="session")
def curated(source: Path, tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> CurateReport:
    return curate(tiny_recipe(source, tmp_path_factory.mktemp("curated")))
