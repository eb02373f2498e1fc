import io

import matplotlib
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from subsets import columns_of, manifest_of

from schemas.reports import Funnel
from tasks.write.figures import draw_figures

NAMES = ["figures/funnel.png", "figures/places.png", "figures/zoom.png", "figures/quality.png", "figures/words.png"]


def test_the_same_data_give_the_same_bytes_whatever_a_person_has_set() -> None:
    columns, kept = columns_of()
    first = draw_figures(manifest_of(), columns, kept)
    assert list(first) == NAMES
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "savefig.facecolor": "black"}):
        assert draw_figures(manifest_of(), columns, kept) == first
    assert draw_figures(manifest_of(), columns, ~kept) != first


def test_figures_are_read_on_white_and_tell_of_no_software_and_no_date() -> None:
    for data in draw_figures(manifest_of(), *columns_of()).values():
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert image.format == "PNG"
            assert image.info == {}
            assert image.width <= 1200
            pixels = np.asarray(image.convert("RGB"))
        assert (pixels[[0, -1]] == 255).all()
        assert 0.02 < (pixels < 200).any(axis=2).mean() < 0.8


@pytest.mark.slow
def test_figures_of_a_million_pairs_are_small() -> None:
    rng, rows = np.random.default_rng(0), 10**6
    columns = pa.table(
        {
            "longitude": rng.uniform(-180, 180, rows),
            "latitude": rng.uniform(-85, 85, rows),
            "z": rng.integers(5, 19, rows),
            "img_quality_score": rng.normal(4, 1, rows),
            "caption_words": rng.integers(0, 100, rows),
            "similarity": rng.normal(0, 0.1, rows),
            "prompt_margin": rng.normal(0, 0.1, rows),
        }
    )
    assert sum(map(len, draw_figures(manifest_of(), columns, rng.random(rows) < 0.5).values())) < 400_000


def test_what_there_is_no_data_for_is_left_out() -> None:
    columns, kept = columns_of(50)
    nothing = pa.nulls(50, pa.float64())
    for name in ("longitude", "z", "img_quality_score"):
        columns = columns.set_column(columns.column_names.index(name), name, nothing)
    assert list(draw_figures(manifest_of(), columns, kept)) == ["figures/funnel.png", "figures/words.png"]
    empty = manifest_of(funnel=Funnel(source_rows=0, steps=()))
    assert draw_figures(empty, columns.slice(0, 0), kept[:0]) == {}


def test_a_subset_of_nothing_is_drawn() -> None:
    columns, kept = columns_of(50)
    assert list(draw_figures(manifest_of(), columns, np.zeros_like(kept))) == NAMES


def test_limits_and_box_are_drawn_though_the_manifest_names_no_file() -> None:
    columns, kept = columns_of()
    manifest = manifest_of()
    plain = draw_figures(manifest, columns, kept)
    listed = {"area": {"sha256": "0" * 64}, "include": {"sha256": "0" * 64, "column": "row_id"}, "exclude": None}
    manifest.recipe["subsets"][0] |= listed
    assert draw_figures(manifest, columns, kept) == plain
    manifest.recipe["subsets"][0] |= {
        "bbox": {"west": 170, "south": -20, "east": -170, "north": 20},
        "zoom": {"min": 12},
    }
    changed = {name for name, data in draw_figures(manifest, columns, kept).items() if data != plain[name]}
    assert changed == {"figures/places.png", "figures/zoom.png"}
