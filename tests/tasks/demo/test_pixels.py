"""The quality score by its formula, and how land looks."""

import math

import numpy as np
import pytest

from tasks.demo.pixels import BEST_SCORE, Ground, least_contrast, look_at_land, quality_score


def test_score_of_a_split_picture_is_what_the_formula_gives() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[:, 128:] = 200
    entropy = 1.0  # two levels, equally often [bits]
    gradient = 200 / 255  # one edge in 255 differences of each row
    assert quality_score(picture) == round(6 * (0.5 * entropy / 8 + 0.3 * gradient / 20), 2) == 0.45


def test_colour_raises_the_score() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[:, 128:, 0] = 255  # red and black
    luma = 299 * 255 // 1000
    spread, mean = math.hypot(127.5, 63.75), math.hypot(127.5, 63.75)
    colour = min(1, (spread + 0.3 * mean) / 100)
    assert quality_score(picture) == round(6 * (0.5 / 8 + 0.3 * luma / 255 / 20 + 0.2 * colour), 2)


def test_score_has_its_bounds() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    assert 5.5 < quality_score(noise) <= BEST_SCORE
    assert quality_score(np.zeros((256, 256, 3), np.uint8)) == 0


def test_least_contrast_is_that_of_the_flattest_sixteenth() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[:, 1::2] = 200  # luma 0 and 200 in turn: a deviation of 100
    assert least_contrast(picture) == 100
    picture[64:128, 192:] = 90
    assert least_contrast(picture) == 0


def test_land_is_judged_where_all_is_land() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[:128] = (60, 120, 40)  # green in the north
    picture[128:] = (20, 40, 160)  # the sea
    land = np.zeros((32, 32))
    land[:16] = 1
    ground = look_at_land(picture, land)
    assert ground is not None
    assert ground.green == 1
    assert ground.white == ground.tan == 0
    assert look_at_land(picture, np.full((32, 32), 0.5)) is None


@pytest.mark.parametrize(
    ("colour", "name"), [((240, 245, 250), "white"), ((60, 120, 40), "green"), ((200, 170, 120), "tan")]
)
def test_colours_have_their_names(colour: tuple[int, int, int], name: str) -> None:
    ground = look_at_land(np.full((256, 256, 3), colour, np.uint8), np.ones((32, 32)))
    assert ground == Ground(roughness=0, **{"white": 0.0, "green": 0.0, "tan": 0.0, name: 1.0})
