from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.embed.vectors import Halves
from tasks.retrieve.search import best_rows


def unit(rng: np.random.Generator, rows: int) -> NDArray[np.float32]:
    vectors = rng.integers(-2, 3, (rows, 4)).astype(np.float32) + np.float32(0.1)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(1, 9), st.integers(1, 7))
def test_the_best_are_those_of_a_sort(seed: int, rows: int, count: int, shard: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, texts, among = unit(rng, rows).astype(np.float16), unit(rng, 3), rng.random(rows) < 0.7

    def shards() -> Iterator[tuple[slice, Halves, NDArray[np.bool_]]]:
        for start in range(0, rows, shard):
            here = slice(start, min(start + shard, rows))
            yield here, vectors[here], among[here]

    found = best_rows(shards(), texts, count)

    for number, one in enumerate(found):
        cosine = np.concatenate([np.empty(0), *(v[a].astype(np.float32) @ texts[number] for _, v, a in shards())])
        order = np.lexsort((np.flatnonzero(among), -cosine))[:count]
        np.testing.assert_allclose(one.cosine, cosine[order], atol=1e-6)
        assert set(one.row_id.tolist()) <= set(np.flatnonzero(among).tolist())
        assert len(set(one.row_id.tolist())) == len(one.row_id) == min(count, int(among.sum()))
