import numpy as np
import pyarrow as pa

from tasks.select.draw import by_chance, identify_rows, uniform_hash


def test_a_row_is_known_by_its_image_else_by_its_name_else_by_its_place() -> None:
    digest = bytes(range(32))
    sha256 = pa.chunked_array([[digest, None], [None, digest]], pa.binary(32))
    names = pa.chunked_array([[5, 2**64 - 1, None, 6]], pa.uint64())
    expected = [int.from_bytes(digest[:8]), 2**64 - 1, 2, int.from_bytes(digest[:8])]
    assert identify_rows(sha256, names).tolist() == expected
    assert identify_rows(sha256.slice(1), names.slice(1)).tolist() == [2**64 - 1, 1, expected[0]]
    assert identify_rows(sha256.slice(0, 0), names.slice(0, 0)).tolist() == []


def test_draws_are_uniform_and_unrelated_between_seeds_and_purposes() -> None:
    identity = np.arange(100_000, dtype=np.uint64)
    first, *others = (uniform_hash(identity, seed, purpose) for seed, purpose in ((0, "a"), (1, "a"), (0, "b")))
    counts, _ = np.histogram(first, 10, (0, 1))
    np.testing.assert_allclose(counts, 10_000, rtol=0.05)
    for other in others:
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.01


def test_equal_chances_stay_in_order() -> None:
    assert by_chance(np.array([0.5, 0.1, 0.5, 0.3])).tolist() == [1, 3, 0, 2]
    assert by_chance(np.array([0.5, 0.1, 0.4])).tolist() == [1, 2, 0]
