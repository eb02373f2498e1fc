"""A confusion matrix as a picture: which class is taken for which."""

import io
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from schemas.evaluation import SetResult
from tasks.report.look import COLOURS, drawing

_COUNTED = 16
"""Most classes whose cells have their number in them: more would not be read."""

_LONGEST_NAME = 28  # characters


def confusion_png(result: SetResult) -> bytes:
    """Return the confusion of all pictures as a PNG: a line for each class, of which every cell is a part.

    A class whose words the font cannot draw is told by its number, ``#1`` being the first of ``result``.
    """
    classified = result.every
    counts = np.array(classified.confusion, np.int64)
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(3.2, 0.22 * len(counts) if len(counts) > _COUNTED else 0.42 * len(counts))
    shades = LinearSegmentedColormap.from_list("told", ["#eef2f1", COLOURS["subset"]])
    with drawing():
        drawn = [_drawn(one.words) for one in classified.classes]
        names = [name or f"#{number}" for number, name in enumerate(drawn, 1)]
        figure = Figure(figsize=(side + 2.6, side + 1.8))
        axes = figure.add_subplot()
        image = axes.imshow(parts, cmap=shades, vmin=0, vmax=1)
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0, labelsize=8)
        edges = np.arange(len(names) - 1) + 0.5
        axes.set_xticks(edges, minor=True)
        axes.set_yticks(edges, minor=True)
        axes.grid(which="minor", color="#ffffff", linewidth=1)
        axes.tick_params(which="minor", length=0)
        axes.set_xlabel("taken for" if all(drawn) else "taken for\n(#1, #2, …: classes in the order of the table)")
        axes.set_ylabel("is")
        for spine in axes.spines.values():
            spine.set_visible(False)
        if len(names) <= _COUNTED:
            for line, column in np.argwhere(counts).tolist():
                colour = "#ffffff" if parts[line, column] > 0.6 else COLOURS["ink"]
                axes.text(column, line, f"{counts[line, column]:,}", ha="center", va="center", fontsize=7, color=colour)
        accuracy = "none" if classified.accuracy is None else f"{classified.accuracy:.2f}"
        title = f"{result.checkpoint} on {result.dataset}: top-1 {accuracy} of {classified.rows:,} pictures"
        figure.suptitle(title, fontsize=10)
        bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=30, label="part of the class")
        outline: Any = bar.outline
        outline.set_visible(False)
        return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


def _drawn(words: str) -> str | None:
    """Return ``words`` as matplotlib takes them; None if the font, that of :func:`drawing`, cannot draw them."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words)
    if len(shown) > _LONGEST_NAME:
        shown = shown[: _LONGEST_NAME - 1] + "…"
    glyphs = get_font(findfont(FontProperties())).get_charmap()
    # A dollar sign would begin a formula.
    return shown.replace("$", r"\$") if glyphs.keys() >= set(map(ord, shown)) else None
