"""The kernel: classes of planted vectors, ties, chance, and what a matrix counts."""

import numpy as np
from numpy.typing import NDArray

from tasks.evaluate import zero_shot
from tasks.evaluate.zero_shot import class_vectors, classify, confusion


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def planted(
    count: int, classes: int, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Return pictures near the vector of their class, their classes, and those vectors."""
    rng = np.random.default_rng(seed)
    towards = unit(rng.standard_normal((classes, 48)))
    truth = rng.integers(0, classes, count)
    return unit(towards[truth] + 0.05 * rng.standard_normal((count, 48))), truth, towards


def test_planted_classes_are_all_told_in_half_precision_as_well(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(zero_shot, "_AT_ONCE", 64)
    pictures, truth, towards = planted(500, 12)
    for width in (np.float16, np.float32):
        assert (classify(pictures.astype(width), towards) == truth).all()


def test_shuffled_labels_are_told_by_chance_alone() -> None:
    pictures, truth, towards = planted(6_000, 12, seed=1)
    shuffled = np.random.default_rng(2).permutation(truth)
    right = int((classify(pictures, towards) == shuffled).sum())
    share = float((np.bincount(truth, minlength=12) / 6_000) @ (np.bincount(truth, minlength=12) / 6_000))
    assert abs(right - 6_000 * share) < 4 * np.sqrt(6_000 * share * (1 - share))


def test_of_equal_classes_the_first_is_told() -> None:
    assert classify(np.array([[1, 0]], np.float16), np.array([[0, 1], [1, 0], [1, 0]], np.float32)).tolist() == [1]
    assert classify(np.zeros((0, 2), np.float16), np.eye(2, dtype=np.float32)).shape == (0,)


def test_the_vector_of_a_class_is_the_mean_of_its_sentences_of_length_one() -> None:
    prompts = unit(np.random.default_rng(3).standard_normal((5, 3, 16)))
    towards = class_vectors(prompts)
    np.testing.assert_allclose(np.linalg.norm(towards, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(towards, unit(prompts.astype(np.float64).mean(axis=1)), atol=1e-6)
    assert np.isfinite(class_vectors(np.array([[[1, 0], [-1, 0]]], np.float32))).all()


def test_a_matrix_counts_each_picture_once() -> None:
    truth, told = np.random.default_rng(4).integers(0, 5, (2, 300))
    matrix = confusion(truth, told, 5)
    assert matrix.sum() == 300
    assert matrix.sum(axis=1).tolist() == np.bincount(truth, minlength=5).tolist()
    assert matrix.sum(axis=0).tolist() == np.bincount(told, minlength=5).tolist()
    assert matrix.trace() == (truth == told).sum()
