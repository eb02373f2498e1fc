"""Kernel: pairs of vectors whose cosine reaches a limit, in clusters and next to them (Abbas et al. 2023, SemDeDup).

Most pairs that are much alike lie in one cluster, and nearly all others on both sides of a border between two. So each
vector is also compared with those of the clusters that are next nearest to it, as an inverted file is probed (Jégou et
al. 2011, IVFADC). With p of k clusters probed, n vectors cost n * k comparisons to be assigned, and about
(p - 1/2) * n * n / k among each other, in place of n * n / 2.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.errors import CurationError
from tasks.deduplicate.hamming import TooManyPairs
from tasks.spill import room

MAX_SEMANTIC_PAIRS = 2**26
"""Most pairs that are kept: they, and what it takes to sort them, are some 3 GiB."""

PER_CENTROID = 256
"""Vectors for each centroid that clusters are learned from, at most; more of them change little."""

SAMPLE_BYTES = 2**30
"""Most bytes of vectors, in single precision, that clusters are learned from; 25 for each of 10,500 centroids."""

HELD_BYTES = 2**30
"""Bytes of vectors, in half precision, that are laid out by cluster at a time."""

_ROUNDS = 20
_SEED = 1
_TILE = 2_048  # vectors that are compared with as many at a time
_ASSIGNED = 2**14  # vectors that are assigned at a time
_CONFIRMED = 2**13  # pairs that are measured at a time
_SLACK = np.float32(1e-3)  # by which a sum in single precision may be off, and more

Halves = NDArray[np.float16]
Clusters = NDArray[np.int32]
"""The numbers of clusters, shape (p, n): the p nearest to each of n vectors, the nearest first."""


class ClusteringUnavailable(CurationError):
    """What clusters vectors is not installed."""


class CosinePairs(NamedTuple):
    """Pairs of positions in an array of vectors; each of shape (pairs,), ``a < b``, in ascending order of (a, b)."""

    a: NDArray[np.int32]
    b: NDArray[np.int32]
    cosine: NDArray[np.float32]


def cosine_pairs(vectors: Halves, clusters: int, probes: int, min_cosine: float) -> CosinePairs:
    """Return the pairs of ``vectors`` that are compared and whose cosine is at least ``min_cosine``.

    Compared is a pair where the cluster of one is among the ``probes`` clusters that are nearest to the other.

    The cosine of a pair is computed in double precision, and so depends on nothing but the pair: not on the clusters,
    and not on how a machine adds up matrices.

    Args:
        vectors: shape (n, d), n < 2**31, none of length 0.
        clusters: how many; 1: all pairs are compared.
        probes: how many; 1: only pairs of one cluster are compared.
        min_cosine: as it is compared in single precision.

    Raises:
        ClusteringUnavailable: if FAISS is not installed, and there is more than one cluster.
        TooManyPairs: if there are more than a machine could hold.
    """
    found, count = [_NOTHING], 0
    nearest = nearest_clusters(vectors, clusters, probes)
    for cluster in _in_clusters(vectors, nearest):
        for one, other in _candidates(cluster, np.float32(min_cosine) - _SLACK):
            new = ~_compared_before(cluster, nearest, one, other)
            one, other = one[new], other[new]
            cosine = _cosines(cluster.held, one, other)
            reached = cosine >= np.float32(min_cosine)
            a, b = cluster.rows[one[reached]], cluster.rows[other[reached]]
            found.append(CosinePairs(np.minimum(a, b), np.maximum(a, b), cosine[reached]))
            count += len(a)
            if count > MAX_SEMANTIC_PAIRS:
                raise TooManyPairs(
                    f"more than {MAX_SEMANTIC_PAIRS:,} pairs of semantic duplicates: thousands of pictures show the "
                    f"same to the model; raise deduplication.semantic.min_cosine, found {min_cosine:g}"
                )
    a, b, cosine = (np.concatenate(part) for part in zip(*found, strict=True))
    del found
    order = np.argsort(a.astype(np.int64) << 32 | b)
    return CosinePairs(a[order], b[order], cosine[order])


_NOTHING = CosinePairs(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))


def nearest_clusters(vectors: Halves, clusters: int, probes: int) -> Clusters:
    """Return the clusters that are nearest to each vector, its own the first, by spherical k-means.

    The same vectors have the same ones.

    Returns:
        Shape (p, n), p the least of ``probes``, ``clusters`` and n, one at least.

    Raises:
        ClusteringUnavailable: as :func:`cosine_pairs`.
    """
    count, dimensions = vectors.shape
    clusters = min(clusters, count)
    if clusters <= 1:
        return np.zeros((1, count), np.int32)
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise ClusteringUnavailable(
            f"deduplication.semantic: clusters need {error.name}: pip install 'git10m[clip]'"
        ) from error

    most = min(count, max(clusters, min(PER_CENTROID * clusters, SAMPLE_BYTES // (4 * dimensions))))
    chosen = np.sort(np.random.default_rng(_SEED).choice(count, most, replace=False))
    means = faiss.Kmeans(
        dimensions, clusters, niter=_ROUNDS, seed=_SEED, spherical=True,
        min_points_per_centroid=1, max_points_per_centroid=most,  # a sample is drawn already
    )  # fmt: skip
    means.train(_lengthened(vectors[chosen]))
    nearest = np.empty((min(probes, clusters), count), np.int32)
    for start in range(0, count, _ASSIGNED):
        here = slice(start, start + _ASSIGNED)
        nearest[:, here] = means.index.search(_lengthened(vectors[here]), len(nearest))[1].T
    return nearest


def _lengthened(vectors: Halves) -> NDArray[np.float32]:
    """Return ``vectors`` in single precision, of length 1: in half precision they are a little longer, or shorter."""
    numbers = vectors.astype(np.float32)
    numbers /= np.sqrt(np.einsum("ij,ij->i", numbers, numbers))[:, None]
    return numbers


class _Cluster(NamedTuple):
    """The vectors that are compared in a cluster: its own first, then those to which it is next nearest."""

    number: int
    rows: NDArray[np.int32]  # positions of the vectors, shape (n,)
    held: Halves  # the vectors, shape (n, d)
    own: int  # how many of them are its own


def _in_clusters(vectors: Halves, nearest: Clusters) -> Iterator[_Cluster]:
    """Yield what is compared in each cluster, in ascending order."""
    count = nearest.shape[1]
    # Of each cluster its own vectors first, ascending, then those to which it is the second nearest, and so on.
    order = np.argsort(nearest, axis=None, kind="stable")
    own = np.bincount(nearest[0], minlength=1)
    ends = np.cumsum(np.bincount(nearest.reshape(-1), minlength=1))
    most = max(1, HELD_BYTES // max(1, vectors.itemsize * vectors.shape[1]))
    first = begin = 0
    while first < len(ends):
        # As many clusters as are held at once, and one at least.
        last = max(first + 1, int(np.searchsorted(ends, begin + most, side="right")))
        here = (order[begin : ends[last - 1]] % max(1, count)).astype(np.int32)
        held = room((len(here), vectors.shape[1]), np.float16)
        in_turn = np.argsort(here)  # a file is read from its begin to its end
        for at in range(0, len(here), _ASSIGNED):
            some = in_turn[at : at + _ASSIGNED]
            held[some] = vectors[here[some]]
        for number in range(first, last):
            start = int(ends[number - 1]) if number else 0
            inside = slice(start - begin, int(ends[number]) - begin)
            if number < len(own) and own[number]:
                yield _Cluster(number, here[inside], held[inside], int(own[number]))
        first, begin = last, int(ends[last - 1])


def _candidates(cluster: _Cluster, least: np.float32) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the positions in ``cluster`` of pairs whose cosine, roughly, is at least ``least``: one is its own."""
    held = cluster.held
    for top in range(0, cluster.own, _TILE):
        first = _lengthened(held[top : top + _TILE])
        upper = first[: cluster.own - top]
        for left in range(top, len(held), _TILE):
            lower = first if left == top else _lengthened(held[left : left + _TILE])
            alike = upper @ lower.T >= least
            one, other = np.nonzero(np.triu(alike, 1) if left == top else alike)
            yield top + one, left + other


def _compared_before(
    cluster: _Cluster, nearest: Clusters, one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which pairs met in a cluster of a lower number: in that of the other one, which probes this one."""
    home = nearest[0, cluster.rows[other]]
    before = np.zeros(len(one), np.bool_)
    for probed in nearest[1:]:
        before |= probed[cluster.rows[one]] == home
    before &= home < cluster.number
    return before


def _cosines(held: Halves, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float32]:
    cosine = np.empty(len(one), np.float32)
    for start in range(0, len(one), _CONFIRMED):
        here = slice(start, start + _CONFIRMED)
        a, b = (held[end[here]].astype(np.float64) for end in (one, other))
        length = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
        cosine[here] = np.einsum("ij,ij->i", a, b) / length
    return cosine
