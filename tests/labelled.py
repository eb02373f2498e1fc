"""Labelled sets as benchmarks come: a folder for each class, of pictures whose mean colour is that of the class."""

from pathlib import Path

import numpy as np
from checkpoints import COLOURS
from pairs import land
from PIL import Image


def coloured(name: str, seed: int, *, size: int = 64) -> Image.Image:
    """Return ground in one colour; different seeds give pictures that are no copies of each other."""
    light = np.asarray(land(seed, size=size), np.float64) / 255
    return Image.fromarray((np.array(COLOURS[name]) * (0.7 + 0.3 * light)).astype(np.uint8))


def class_folders(folder: Path, *, each: int = 3) -> Path:
    """Write ``each`` pictures of every one of :data:`checkpoints.COLOURS`, as PNG."""
    for number, name in enumerate(COLOURS):
        (folder / name).mkdir(parents=True)
        for seed in range(each):
            coloured(name, number * each + seed).save(folder / name / f"{seed:03d}.png")
    return folder
