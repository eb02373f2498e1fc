import numpy as np
import pytest
from numpy.typing import NDArray
from pairs import land, thumbnail
from PIL import Image

from tasks.deduplicate.registration import Registrations, similarities
from tasks.deduplicate.views import FULL, Overlap, View
from tasks.scan.descriptor import SIDE, describe

SAME = Overlap(FULL, FULL)
WORLD = land(1, around=60)


def cut(down: int, right: int, side: int = 256) -> Image.Image:
    return WORLD.crop((60 + right, 60 + down, 60 + right + side, 60 + down + side)).resize((256, 256))


def described(*pictures: Image.Image) -> NDArray[np.int8]:
    return describe(np.stack([thumbnail(picture, quality=80) for picture in pictures])).descriptor


def alike(a: Image.Image, b: Image.Image, overlap: Overlap = SAME, orientation: int = 0, enough: float = 0.9) -> float:
    pairs = Registrations(np.array([0]), np.array([1]), np.array([orientation], np.int8))
    return float(similarities(described(a, b), pairs, overlap, np.full(1, enough, np.float32))[0])


@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, 0), (-4, 5), (6, -6)])
def test_a_slightly_shifted_picture_is_registered(down: int, right: int) -> None:
    assert alike(cut(0, 0), cut(down, right)) >= 0.9


@pytest.mark.parametrize("side", [251, 246, 240])
def test_a_slight_crop_is_registered_whichever_is_the_first(side: int) -> None:
    assert alike(cut(0, 0), cut(4, 2, side)) >= 0.9
    assert alike(cut(4, 2, side), cut(0, 0)) >= 0.9


def test_an_overlap_is_registered_from_its_windows() -> None:
    overlap = Overlap(View(8, 0, 48), View(0, 2, 48))  # b lies 8/60 lower and 2/60 further left
    assert alike(cut(0, 0), cut(round(256 * 8 / 60), round(-256 * 2 / 60)), overlap) >= 0.9
    assert alike(cut(0, 0), cut(round(-256 * 8 / 60), round(256 * 2 / 60)), overlap) < 0.6


def test_a_crop_is_registered_from_its_window() -> None:
    crop = Overlap(View(7, 3, 50), FULL)
    assert alike(cut(0, 0), cut(30, 13, 213), crop) >= 0.9
    assert alike(cut(30, 13, 213), cut(0, 0), crop) < 0.6


@pytest.mark.parametrize("orientation", range(8))
def test_the_second_picture_is_turned_before_it_is_compared(orientation: int) -> None:
    picture = cut(0, 0)
    laid = picture.transpose(Image.Transpose.TRANSPOSE) if orientation & 4 else picture
    laid = laid.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if orientation & 1 else laid
    laid = laid.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if orientation & 2 else laid
    assert alike(laid, picture, orientation=orientation) >= 0.98
    assert orientation == 0 or alike(laid, picture) < 0.6


def test_other_places_are_not_alike() -> None:
    numbers = described(*(land(seed) for seed in range(40)))
    a, b = np.triu_indices(40, 1)
    found = similarities(
        numbers, Registrations(a, b, np.zeros(len(a), np.int8)), SAME, np.full(len(a), 0.9, np.float32)
    )
    assert found.max() < 0.6


def test_the_same_picture_is_wholly_alike_and_no_picture_is_like_none() -> None:
    numbers = np.concatenate([described(cut(0, 0)), np.zeros((1, SIDE**2), np.int8)])
    pairs = Registrations(np.array([0, 0]), np.array([0, 1]), np.zeros(2, np.int8))
    assert similarities(numbers, pairs, SAME, np.ones(2, np.float32)).tolist() == [1.0, 0.0]
