import numpy as np
import pytest
from pairs import land, thumbnail

from tasks.deduplicate.views import FULL, GRID, ORIENTATIONS, OVERLAPS, inverse, turned, turned_hashes, window_matrix
from tasks.scan.descriptor import SIDE, describe

LUMA = thumbnail(land(3))


def laid(picture: np.ndarray, orientation: int) -> np.ndarray:
    picture = picture.T if orientation & 4 else picture
    picture = picture[:, ::-1] if orientation & 1 else picture
    return np.ascontiguousarray(picture[::-1] if orientation & 2 else picture)


@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_a_turned_descriptor_and_hash_are_those_of_the_turned_picture(orientation: int) -> None:
    upright, expected = describe(LUMA[None]), describe(laid(LUMA, orientation)[None])
    np.testing.assert_array_equal(turned(upright.descriptor, orientation), expected.descriptor)
    zeros = int((upright.descriptor.reshape(SIDE, SIDE)[:8, :8] == 0).sum()) - 1  # a sign that cannot change
    assert np.bitwise_count(turned_hashes(upright.phash, orientation) ^ expected.phash)[0] <= zeros


@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_the_inverse_turns_back(orientation: int) -> None:
    np.testing.assert_array_equal(laid(laid(LUMA, orientation), inverse(orientation)), LUMA)
    hashes = np.random.default_rng(0).integers(0, 2**63, 50, dtype=np.uint64)
    np.testing.assert_array_equal(turned_hashes(turned_hashes(hashes, orientation), inverse(orientation)), hashes)


def test_the_orientations_are_eight() -> None:
    assert len({laid(LUMA, orientation).tobytes() for orientation in range(ORIENTATIONS)}) == 8


def test_every_offset_up_to_a_fifth_is_near_one_of_the_overlaps() -> None:
    shifts = [overlap for overlap in OVERLAPS if overlap.b != FULL]
    offsets = np.array([(o.a.top - o.b.top, o.a.left - o.b.left) for o in shifts])
    offsets = np.concatenate([offsets, -offsets, [(0, 0)]])
    rng = np.random.default_rng(0)
    for _ in range(500):
        down = rng.uniform(-0.2, 0.2)
        right = rng.uniform(-1, 1) * (1 - 0.8 / (1 - abs(down)))
        off = np.abs(offsets - GRID * np.array([down, right])).max(axis=1)
        assert off.min() <= 1.2  # sixtieths; a registration makes up for more


def test_overlaps_show_the_same_ground_and_lie_within_the_picture() -> None:
    for a, b in OVERLAPS:
        assert all(at >= 0 and at + view.side <= GRID for view in (a, b) for at in (view.top, view.left))
        assert b == FULL or a.side == b.side
    assert len(set(OVERLAPS)) == len(OVERLAPS)


def test_a_window_of_a_smooth_curve_has_the_coefficients_of_the_curve_s_part() -> None:
    coefficients = np.zeros(SIDE)
    coefficients[[1, 3, 5]] = 3.0, -2.0, 1.0
    place = (np.arange(64) + 0.5) / 64

    def curve(x: np.ndarray) -> np.ndarray:
        return np.sqrt(2) * sum(c * np.cos(np.pi * k * x) for k, c in enumerate(coefficients))

    part = curve((12 + 45 * place) / GRID)
    expected = [np.sqrt(2) * np.mean(part * np.cos(np.pi * k * place)) for k in range(1, 8)]
    np.testing.assert_allclose((window_matrix(12, 45, 8) @ coefficients)[1:], expected, atol=2e-3)
    np.testing.assert_allclose(window_matrix(0, GRID, SIDE), np.eye(SIDE), atol=2e-3)
