"""Kernel: numbers read from a tile's pixels: the quality score, how rough the land looks, and the colours of land."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BEST_SCORE = 6.0
_FULL_DETAIL = 20.0  # mean gradient of a picture that is full of detail [grey levels a pixel]
_FULL_COLOUR = 100.0  # "extremely colourful" is 109 in Hasler and Suesstrunk's table 1
_WHITE = 170  # the darkest channel of snow, ice and high plateaus
_LAND_CELL = 0.99  # a cell of this land share or more shows no shoreline


class Ground(NamedTuple):
    """How the land of a tile looks; a share is of the land [0..1], and the rest has other colours."""

    roughness: float  # mean gradient of luma [grey levels a pixel]
    white: float  # snow, ice, salt
    green: float  # plants
    tan: float  # bare soil, sand, rock


def quality_score(pixels: NDArray[np.uint8]) -> float:
    """Return how much there is to see in RGB ``pixels``, shape (height, width, 3): 0.0 to 6.0, two decimals.

    The score is ``6 * (0.5 * entropy / 8 + 0.3 * min(1, gradient / 20) + 0.2 * min(1, colourfulness / 100))``, where

    - ``entropy`` is that of the histogram of luma in 256 levels [bits],
    - ``gradient`` is the mean of ``|horizontal| + |vertical|`` differences of luma [grey levels a pixel],
    - ``colourfulness`` is Hasler and Suesstrunk's (Proc. SPIE 5007, 2003, equation 3),
    - luma is ``(299 R + 587 G + 114 B) // 1000`` (ITU-R BT.601).

    >>> quality_score(np.full((256, 256, 3), 90, np.uint8))
    0.0
    """
    luma = _luma(pixels)
    histogram = np.bincount(luma.ravel(), minlength=256) / luma.size
    present = histogram[histogram > 0]
    entropy = float(-(present * np.log2(present)).sum())
    detail = min(1.0, float(_gradient(luma).mean()) / _FULL_DETAIL)
    colour = min(1.0, _colourfulness(pixels) / _FULL_COLOUR)
    return round(BEST_SCORE * abs(0.5 * entropy / 8 + 0.3 * detail + 0.2 * colour), 2)  # abs: no -0.0


def least_contrast(pixels: NDArray[np.uint8]) -> float:
    """Return the standard deviation of luma in that of 4 x 4 parts of RGB ``pixels`` which has the least [0..127.5].

    Where it is high there is something to be seen everywhere; a coast, much of it plain sea, has next to none.
    """
    luma = _luma(pixels)
    height, width = luma.shape
    parts = luma.reshape(4, height // 4, 4, width // 4)
    return float(parts.std(axis=(1, 3)).min())


def _luma(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    red, green, blue = np.moveaxis(pixels.astype(np.int32), 2, 0)
    luma: NDArray[np.int32] = (299 * red + 587 * green + 114 * blue) // 1000
    return luma


def _gradient(luma: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return ``|horizontal| + |vertical|`` difference to the next pixel; one row and one column fewer."""
    corner = luma[:-1, :-1]
    gradient: NDArray[np.int32] = np.abs(luma[:-1, 1:] - corner) + np.abs(luma[1:, :-1] - corner)
    return gradient


def _colourfulness(pixels: NDArray[np.uint8]) -> float:
    red, green, blue = np.moveaxis(pixels.astype(np.int32), 2, 0)
    red_green = red - green
    yellow_blue = (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))


def look_at_land(pixels: NDArray[np.uint8], land: NDArray[np.float64]) -> Ground | None:
    """Return how the land looks, from the cells of a tile that are nothing but land; None if there is none.

    Args:
        pixels: RGB, shape (256, 256, 3).
        land: share of land in each cell of a square grid over the tile.
    """
    cell = len(pixels) // len(land)
    inland = (land >= _LAND_CELL).repeat(cell, axis=0).repeat(cell, axis=1)
    if not inland.any():
        return None
    red, green, blue = pixels[inland].astype(np.int32).T
    white = np.minimum(np.minimum(red, green), blue) >= _WHITE
    leafy = ~white & (green >= red) & (green > blue)
    tan = ~white & (red > green) & (green > blue)
    roughness = _gradient(_luma(pixels))[inland[:-1, :-1]].mean() if inland[:-1, :-1].any() else 0.0
    return Ground(float(roughness), float(white.mean()), float(leafy.mean()), float(tan.mean()))
