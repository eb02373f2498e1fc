import numpy as np
import pytest
import xxhash
from numpy.typing import NDArray
from pairs import land, thumbnail
from PIL import Image, ImageEnhance, ImageFilter

from tasks.scan.descriptor import LEAST_STRUCTURE, SIDE, SPREAD, describe, hashes_of

LUMA = np.stack([thumbnail(land(seed)) for seed in range(19)])


def test_the_result_does_not_depend_on_the_batch() -> None:
    whole = describe(LUMA)
    for size in (1, 3, 8, 16):
        parts = [describe(LUMA[start : start + size]) for start in range(0, len(LUMA), size)]
        for name, column in whole._asdict().items():
            np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), column)


def test_a_descriptor_is_the_weighed_dct_by_its_definition() -> None:
    half = LUMA[0].astype(np.float64).reshape(32, 2, 32, 2).sum((1, 3))
    n, k = np.arange(32), np.arange(SIDE)
    basis = np.sqrt(2 / 32) * np.cos(np.pi * (2 * n + 1) * k[:, None] / 64)
    basis[0] /= np.sqrt(2)
    weighed = basis @ half @ basis.T * np.hypot(k[:, None], k[None, :])
    expected = weighed * SPREAD / np.sqrt(np.square(weighed).sum() / (SIDE**2 - 1))
    found = describe(LUMA[:1]).descriptor.reshape(SIDE, SIDE)
    assert np.abs(found - np.clip(expected, -127, 127)).max() <= 0.51


def test_a_hash_holds_the_signs_of_the_lowest_frequencies() -> None:
    found = describe(LUMA)
    low = found.descriptor.reshape(-1, SIDE, SIDE)[:, :8, :8].reshape(len(LUMA), -1)
    expected = [int("".join("1" if number > 0 else "0" for number in row), 2) for row in low]
    assert found.phash.tolist() == expected
    assert hashes_of(found.descriptor).tolist() == expected
    assert all(not int(value) >> 63 for value in found.phash)


def test_a_signature_stands_for_the_descriptor() -> None:
    found = describe(LUMA)
    assert found.signature.tolist() == [xxhash.xxh3_64_intdigest(row.tobytes()) for row in found.descriptor]
    assert len(set(found.signature.tolist())) == len(LUMA)


def test_copies_have_near_hashes_and_other_places_far_ones() -> None:
    image = land(7)
    copies = [
        thumbnail(image, quality=20),
        thumbnail(image.resize((512, 512))),
        thumbnail(image.resize((64, 64))),
        thumbnail(ImageEnhance.Brightness(image).enhance(1.15)),
        thumbnail(ImageEnhance.Contrast(image).enhance(0.6)),
        thumbnail(image.filter(ImageFilter.GaussianBlur(2))),
    ]
    others = [thumbnail(land(seed)) for seed in range(8, 40)]
    phash = describe(np.stack([thumbnail(image), *copies, *others])).phash
    distance = np.bitwise_count(phash[1:] ^ phash[0])
    assert distance[: len(copies)].max() <= 3
    assert distance[len(copies) :].min() > 12


def plain(luma: NDArray[np.uint8]) -> bool:
    found = describe(luma[None])
    assert found.descriptor.any() != found.plain[0]
    assert (found.structure[0] < LEAST_STRUCTURE) == found.plain[0]
    return bool(found.plain[0])


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_uniform_picture_is_plain(level: int) -> None:
    assert plain(np.full((64, 64), level, np.uint8))
    assert describe(np.full((1, 64, 64), level, np.uint8)).structure[0] == 0


def test_a_faint_picture_is_not_plain_and_noise_of_a_quarter_of_a_level_is() -> None:
    faint = np.asarray(ImageEnhance.Contrast(Image.fromarray(LUMA[0])).enhance(0.05))
    assert np.std(faint) < 4
    assert not plain(faint)
    noise = np.random.default_rng(0).random((64, 64)) < 0.05  # one level up in a twentieth of the pixels
    assert plain(noise.astype(np.uint8) + np.uint8(100))


def test_what_could_not_be_told_from_others_of_its_kind_is_plain() -> None:
    row, column = np.mgrid[:64, :64]
    gradient = (60 + 1.5 * column + row).astype(np.uint8)
    shore = np.where(column < 8, 200, 60).astype(np.uint8)
    islet = np.where(np.hypot(row - 9, column - 50) < 3, 160, 60).astype(np.uint8)
    waves = (128 + 90 * np.sin(column / 3)).astype(np.uint8)
    for picture in (gradient, shore, islet, waves):
        assert plain(picture)
    noise = np.random.default_rng(0).integers(-4, 5, (64, 64))
    assert plain((gradient + noise // 4).astype(np.uint8))


def test_structure_is_that_of_noise_for_ground_in_all_parts_and_less_where_ground_is_in_few() -> None:
    structure = describe(LUMA).structure
    assert structure.min() > 60
    half = LUMA.copy()
    half[:, :, 32:] = 60
    assert (describe(half).structure < structure).all()


def test_an_empty_batch_is_described() -> None:
    assert describe(np.empty((0, 64, 64), np.uint8)).descriptor.shape == (0, 256)


def test_how_thumbnails_lie_in_memory_does_not_matter() -> None:
    luma = np.stack([thumbnail(land(seed)) for seed in range(3)])
    for turned in (luma.transpose(0, 2, 1), luma[:, ::-1, ::-1], np.asfortranarray(luma)):
        for found, expected in zip(describe(turned), describe(turned.copy(order="C")), strict=True):
            np.testing.assert_array_equal(found, expected)
