import numpy as np
import pytest

from tasks.select.splits import draw_splits

DIGESTS = np.random.default_rng(0).integers(0, 256, (20_000, 32), dtype=np.uint8)


def test_fractions_are_met_and_a_seed_draws_other_rows() -> None:
    drawn = draw_splits(DIGESTS, (0.7, 0.2, 0.1), seed=0)
    np.testing.assert_allclose(np.bincount(drawn) / len(drawn), [0.7, 0.2, 0.1], atol=0.01)
    other = draw_splits(DIGESTS, (0.7, 0.2, 0.1), seed=1)
    assert np.mean(other == drawn) == pytest.approx(0.7**2 + 0.2**2 + 0.1**2, abs=0.02)


def test_a_row_s_split_depends_on_its_image_alone() -> None:
    order = np.random.default_rng(1).permutation(len(DIGESTS))
    whole = draw_splits(DIGESTS, (0.5, 0.5), seed=7)
    np.testing.assert_array_equal(draw_splits(DIGESTS[order], (0.5, 0.5), seed=7), whole[order])


def test_one_split_takes_all() -> None:
    assert not draw_splits(DIGESTS, (1.0,), seed=0).any()
