import numpy as np
import pyarrow as pa
import pytest

from tasks.select.draw import identify_rows
from tasks.select.splits import draw_splits

IDENTITY = np.random.default_rng(0).integers(0, 2**64, 20_000, dtype=np.uint64)


def test_fractions_are_met_and_a_seed_draws_other_rows() -> None:
    drawn = draw_splits(IDENTITY, (0.7, 0.2, 0.1), seed=0)
    np.testing.assert_allclose(np.bincount(drawn) / len(drawn), [0.7, 0.2, 0.1], atol=0.01)
    other = draw_splits(IDENTITY, (0.7, 0.2, 0.1), seed=1)
    assert np.mean(other == drawn) == pytest.approx(0.7**2 + 0.2**2 + 0.1**2, abs=0.02)


def test_a_row_s_split_depends_on_its_identity_alone() -> None:
    order = np.random.default_rng(1).permutation(len(IDENTITY))
    whole = draw_splits(IDENTITY, (0.5, 0.5), seed=7)
    np.testing.assert_array_equal(draw_splits(IDENTITY[order], (0.5, 0.5), seed=7), whole[order])


def test_one_split_takes_all() -> None:
    assert not draw_splits(IDENTITY, (1.0,), seed=0).any()


@pytest.mark.parametrize("named", [True, False])
def test_rows_without_images_are_spread_over_the_splits(named: bool) -> None:
    names = pa.chunked_array([pa.array(IDENTITY) if named else pa.nulls(len(IDENTITY), pa.uint64())])
    identity = identify_rows(pa.chunked_array([pa.nulls(len(IDENTITY), pa.binary(32))]), names)
    drawn = draw_splits(identity, (0.7, 0.3), seed=0)
    np.testing.assert_allclose(np.bincount(drawn) / len(drawn), [0.7, 0.3], atol=0.015)
