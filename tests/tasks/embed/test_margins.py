import numpy as np

from tasks.embed.margins import hold_against_prompts


def test_the_margin_is_between_the_nearest_of_both_kinds() -> None:
    prompts = np.eye(4, dtype=np.float32)
    images = np.array([[0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0.6, 0, 0.8]], np.float16)

    margin, nearest = hold_against_prompts(images, prompts, 2)

    np.testing.assert_allclose(margin, [0.8, -1.0, -0.2], atol=1e-3)
    assert nearest.tolist() == [1, 2, 3]


def test_no_picture_has_no_margin() -> None:
    margin, nearest = hold_against_prompts(np.empty((0, 4), np.float16), np.eye(4, dtype=np.float32), 1)

    assert margin.shape == nearest.shape == (0,)
