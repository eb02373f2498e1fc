"""The figures of Git-10M's card: zero-shot top-1 accuracy of five models on six data sets."""

import re
from collections.abc import Sequence

from schemas.evaluation import mean

SOURCE = "https://huggingface.co/lcybuaa/Git-RSCLIP"
"""The card of Git-RSCLIP, which prints them, to two digits."""

_SETS = ("optimal31", "rsc11", "rsicb128", "whurs19", "rsscn7", "clrs")
_OTHER_NAMES = {"rs2800": "rsscn7", "rs2800rsscn7": "rsscn7", "whu19": "whurs19", "rsicb": "rsicb128"}
_FIGURES: dict[str, tuple[str, tuple[float, ...], float]] = {
    "clip": ("CLIP", (0.60, 0.45, 0.25, 0.77, 0.52, 0.56), 0.52),
    "remoteclip": ("RemoteCLIP", (0.82, 0.67, 0.34, 0.93, 0.52, 0.66), 0.65),
    "georsclip": ("GeoRSCLIP", (0.83, 0.67, 0.35, 0.89, 0.63, 0.69), 0.68),
    "skyclip50": ("SkyCLIP50", (0.77, 0.60, 0.38, 0.78, 0.55, 0.61), 0.62),
    "gitrsclip": ("Git-RSCLIP", (0.95, 0.67, 0.52, 0.94, 0.64, 0.65), 0.73),
}
"""By model: its name, the figure of each of :data:`_SETS`, and their mean as printed."""


def published_accuracy(checkpoint: str, dataset: str) -> float | None:
    """Return what was published of a model and a data set of these names; case, ``-`` and ``_`` do not count.

    >>> published_accuracy("git-rsclip", "WHU-RS19"), published_accuracy("git-rsclip", "mine")
    (0.94, None)
    """
    figures, name = _FIGURES.get(_plain(checkpoint)), _set(dataset)
    return None if figures is None or name not in _SETS else figures[1][_SETS.index(name)]


def published_mean(checkpoint: str, datasets: Sequence[str]) -> float | None:
    """Return the mean of what was published of ``datasets``, as it is printed if they are all; None if one is missing.

    >>> published_mean("clip", ["optimal31", "rsc11"])
    0.525
    """
    if {_set(dataset) for dataset in datasets} == set(_SETS) and _plain(checkpoint) in _FIGURES:
        return _FIGURES[_plain(checkpoint)][2]
    return mean([published_accuracy(checkpoint, dataset) for dataset in datasets])


def _set(dataset: str) -> str:
    plain = _plain(dataset)
    return _OTHER_NAMES.get(plain, plain)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
