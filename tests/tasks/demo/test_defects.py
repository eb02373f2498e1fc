"""Every way to spoil a pair breaks its own rule and no other: by the row contract, and by Pillow's own judgement."""

import io
import math
import random
import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from schemas.reasons import Reason, Stage
from schemas.row import breaches
from schemas.tables import FACT_COLUMNS
from tasks.demo.defects import PLANTED, draw_counts, spoil
from tasks.demo.duplicates import COPIES
from tasks.demo.imagery import encode_jpeg
from tasks.demo.pairs import Pair, PlantedPair
from tasks.demo.places import Place, Shore

MAX_PIXELS = 16_777_216  # defaults of schemas.recipe
BLANK_LUMA_STD = 1.0
NODATA_FRACTION = 0.02
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
BEYOND_8_BITS = ("I;16", "I;16B", "I", "F")  # Pillow clips them at 255 when it converts to RGB
SCORES = (0, 6)  # deployments/recipes/demo.yaml
EARLIER_NAMES = {"bluemarble_0_0_0.jpg", *(f"relief_2_{x}_{y}.jpg" for x in range(4) for y in range(4))}
VALIDATION = [reason for reason in Reason if reason.stage is Stage.VALIDATION]


def _pair(number: int) -> Pair:
    coarse = np.random.default_rng(number).integers(40, 200, (16, 16, 3), np.uint8)
    image = encode_jpeg(np.asarray(Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC)))
    place = Place(5, number % 32, 11, 16.9, 45.1, np.ones((32, 32)), 0.0, Shore(100.0, "north"))
    location = f"5_{number % 32}_11"
    return Pair(
        image, f"{number}.jpg", 2 + number / 100, "Five words about a place.", 5, 4096.0, location, place, "relief"
    )


def _image_breaches(image: bytes | None) -> set[Reason]:
    """What Pillow alone finds wrong with an image."""
    if not image:
        return {Reason.IMAGE_MISSING}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(image))
            if picture.format not in FORMATS:
                return {Reason.IMAGE_FORMAT}
            if picture.width * picture.height > MAX_PIXELS:
                return {Reason.IMAGE_TOO_LARGE}
            picture.load()
    except Image.DecompressionBombError:
        return {Reason.IMAGE_TOO_LARGE}
    except (OSError, SyntaxError) as error:
        return {Reason.IMAGE_TRUNCATED if "truncated" in str(error) else Reason.IMAGE_UNDECODABLE}
    broken = set()
    if getattr(picture, "n_frames", 1) > 1:
        broken.add(Reason.IMAGE_ANIMATED)
    if picture.mode in BEYOND_8_BITS:
        broken.add(Reason.IMAGE_MODE)
        values = np.asarray(picture, np.float64)
        picture = Image.fromarray((255 * values / values.max()).astype(np.uint8))
    if picture.size != (256, 256):
        broken.add(Reason.IMAGE_SIZE)
    luma = np.asarray(picture.convert("L").resize((64, 64), Image.Resampling.BOX))
    if luma.std() <= BLANK_LUMA_STD:
        broken.add(Reason.IMAGE_BLANK)
    if _rim(luma <= 2) + _rim(luma == 255) >= NODATA_FRACTION:
        broken.add(Reason.IMAGE_NODATA)
    return broken


def _rim(extreme: NDArray[np.bool_]) -> float:
    """Return the share of pixels from which all are ``extreme`` up to one of the four edges."""
    turned = (np.rot90(extreme, turns) for turns in range(4))
    reached = [np.rot90(np.logical_and.accumulate(side), -turns) for turns, side in enumerate(turned)]
    return float(np.logical_or.reduce(reached).mean())


def _breaches(pair: Pair) -> set[Reason]:
    broken = set(breaches({name: getattr(pair, name) for name in FACT_COLUMNS})) | _image_breaches(pair.image)
    score = pair.img_quality_score
    if score is not None and math.isfinite(score) and not SCORES[0] <= score <= SCORES[1]:
        broken.add(Reason.SCORE_OUT_OF_RANGE)
    if pair.img_name in EARLIER_NAMES:
        broken.add(Reason.IMG_NAME_REPEATED)
    return broken


@pytest.fixture(scope="module")
def spoilt() -> list[PlantedPair]:
    counts = dict.fromkeys(VALIDATION, 6)  # more than there are ways to break any rule
    return spoil([_pair(number) for number in range(6 * len(VALIDATION))], counts)


@pytest.mark.parametrize("reason", VALIDATION)
def test_each_way_breaks_its_own_rule_alone(spoilt: list[PlantedPair], reason: Reason) -> None:
    broken = {(planted.note, *_breaches(planted.pair)) for planted in spoilt if planted.reason is reason}
    assert broken == {(note, reason) for note, *_ in broken}
    assert broken


def test_the_pairs_were_sound() -> None:
    assert not any(_breaches(_pair(number)) for number in range(5))


def test_a_repeated_name_is_all_that_changes(spoilt: list[PlantedPair]) -> None:
    renamed = {i: planted.pair for i, planted in enumerate(spoilt) if planted.reason is Reason.IMG_NAME_REPEATED}
    assert len(renamed) == 6
    for number, pair in renamed.items():
        original = _pair(number)
        assert {name for name in ("image", *FACT_COLUMNS) if getattr(pair, name) != getattr(original, name)} == {
            "img_name"
        }
        assert pair.order == original.order


def test_a_changed_caption_is_declared_as_long_as_it_is(spoilt: list[PlantedPair]) -> None:
    for planted in spoilt:
        if planted.reason in (Reason.CAPTION_GARBLED, Reason.CAPTION_REFUSAL):
            assert planted.pair.caption_length == len((planted.pair.caption or "").split())


def test_bad_images_are_small(spoilt: list[PlantedPair]) -> None:
    assert max(len(planted.pair.image or b"") for planted in spoilt) < 250_000  # a BMP of 256 x 256 is 196,662


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        spoil([_pair(1)], dict.fromkeys(VALIDATION, 1))


def test_counts_cover_what_is_planted_and_follow_the_draw() -> None:
    counts = draw_counts(random.Random(3))
    assert tuple(counts) == PLANTED
    assert set(PLANTED) == {
        *VALIDATION,
        Reason.CONTAMINATED,
        Reason.DUPLICATE_BYTES,
        Reason.DUPLICATE_PIXELS,
        Reason.DUPLICATE_NEAR,
    }
    assert {count for reason, count in counts.items() if reason.stage is Stage.VALIDATION} <= {3, 4, 5, 6}
    assert counts == draw_counts(random.Random(3))
    assert counts != draw_counts(random.Random(4))


@pytest.mark.parametrize("seed", range(5))
def test_every_way_of_a_copy_is_planted(seed: int) -> None:
    counts = draw_counts(random.Random(seed))
    assert [reason for reason, ways in COPIES.items() if counts[reason] < len(ways)] == []
