"""The pairs of vectors against all of them compared, one by one."""

import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks import spill
from tasks.deduplicate import cosine
from tasks.deduplicate.cosine import ClusteringUnavailable, CosinePairs, cosine_pairs, nearest_clusters
from tasks.deduplicate.hamming import TooManyPairs


def planted(count: int, dimensions: int = 24, seed: int = 0) -> NDArray[np.float16]:
    """Vectors around a few directions, and for each fifth one that is nearly the same."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((12, dimensions))
    vectors = centres[rng.integers(0, len(centres), count)] + 0.9 * rng.standard_normal((count, dimensions))
    vectors[: count // 5] = vectors[-(count // 5) :] + 0.1 * rng.standard_normal((count // 5, dimensions))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors[rng.permutation(count)].astype(np.float16)


def one_by_one(vectors: NDArray[np.float16], least: float) -> dict[tuple[int, int], float]:
    numbers = vectors.astype(np.float64)
    numbers /= np.linalg.norm(numbers, axis=1, keepdims=True)
    alike = (numbers @ numbers.T).astype(np.float32)
    pairs = zip(*np.nonzero(np.triu(alike >= np.float32(least), 1)), strict=True)
    return {(int(a), int(b)): float(alike[a, b]) for a, b in pairs}


def as_dict(pairs: CosinePairs) -> dict[tuple[int, int], float]:
    return {(a, b): similar for a, b, similar in zip(*(part.tolist() for part in pairs), strict=True)}


@pytest.mark.parametrize("least", [0.8, 0.95])
def test_one_cluster_finds_every_pair_in_order(least: float) -> None:
    vectors = planted(700)
    found = as_dict(cosine_pairs(vectors, 1, 1, least))
    assert found == pytest.approx(one_by_one(vectors, least), abs=1e-6)
    assert list(found) == sorted(found)
    assert len(found) > 100


def test_clusters_find_a_part_of_them_and_nearly_all_that_are_much_alike(clip_extra: None) -> None:
    vectors = planted(3000)
    exact, [cluster] = one_by_one(vectors, 0.9), nearest_clusters(vectors, 12, 1)
    found = as_dict(cosine_pairs(vectors, 12, 1, 0.9))
    assert found == pytest.approx({p: s for p, s in exact.items() if cluster[p[0]] == cluster[p[1]]}, abs=1e-6)
    assert 0.9 * len(exact) < len(found)
    assert len(set(cluster.tolist())) > 6


@pytest.mark.parametrize("probes", [2, 3, 30])
def test_probes_find_pairs_on_both_sides_of_a_border_and_each_once(clip_extra: None, probes: int) -> None:
    vectors = planted(2000)
    exact, nearest = one_by_one(vectors, 0.5), nearest_clusters(vectors, 30, probes)
    assert nearest[0].tolist() == nearest_clusters(vectors, 30, 1)[0].tolist()
    assert all(len(set(clusters)) == probes for clusters in nearest.T.tolist())
    met = {(a, b): nearest[0, a] in nearest[:, b] or nearest[0, b] in nearest[:, a] for a, b in exact}
    pairs = cosine_pairs(vectors, 30, probes, 0.5)
    found = as_dict(pairs)
    assert found == pytest.approx({pair: exact[pair] for pair in exact if met[pair]}, abs=1e-6)
    assert len(pairs.a) == len(found)
    assert list(found) == sorted(found)
    assert len(as_dict(cosine_pairs(vectors, 30, 1, 0.5))) < len(found)
    assert (len(found) == len(exact)) == (probes == 30)


def test_neither_tiles_nor_what_is_held_at_once_changes_a_pair(
    clip_extra: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = planted(900)
    whole = [cosine_pairs(vectors, clusters, 2, 0.8) for clusters in (1, 9)]
    for name, value in (("_TILE", 13), ("_ASSIGNED", 7), ("_CONFIRMED", 5), ("HELD_BYTES", 20_000)):
        monkeypatch.setattr(cosine, name, value)
    monkeypatch.setattr(spill, "SPILLED_BYTES", 0)
    for clusters, expected in zip((1, 9), whole, strict=True):
        assert as_dict(cosine_pairs(vectors, clusters, 2, 0.8)) == as_dict(expected)


def test_a_small_sample_still_makes_every_cluster_and_the_same_ones_again(
    clip_extra: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cosine, "SAMPLE_BYTES", 1)
    vectors = planted(500)
    assert sorted(set(nearest_clusters(vectors, 20, 1)[0].tolist())) == list(range(20))
    assert nearest_clusters(vectors, 20, 3).tolist() == nearest_clusters(vectors, 20, 3).tolist()


def test_equal_vectors_have_a_cosine_of_one() -> None:
    vectors = np.repeat(planted(40), 2, axis=0)
    found = as_dict(cosine_pairs(vectors, 1, 1, 1.0))
    assert found == {(2 * n, 2 * n + 1): 1.0 for n in range(40)} | found
    assert set(found.values()) == {1.0}


@pytest.mark.parametrize("rows", [0, 1])
def test_less_than_two_vectors_have_no_pair(rows: int) -> None:
    assert as_dict(cosine_pairs(planted(10)[:rows], 5, 3, 0.5)) == {}


def test_too_many_pairs_end_the_search_and_name_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosine, "MAX_SEMANTIC_PAIRS", 1_000)
    with pytest.raises(TooManyPairs, match=r"more than 1,000 .*raise deduplication.semantic.min_cosine, found 0.5"):
        cosine_pairs(np.ones((60, 8), np.float16), 1, 1, 0.5)


def test_without_faiss_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ClusteringUnavailable, match=r"need faiss: pip install 'git10m\[clip\]'"):
        cosine_pairs(planted(20), 2, 1, 0.9)
