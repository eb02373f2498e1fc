"""The look of a report's figures: colours that follow the page from light to dark, the same bytes on any machine."""

import hashlib
import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

COLOURS = {
    "ink": "#5b6570",
    "source": "#b4bfca",
    "subset": "#0e8a7d",
    "limit": "#c24a18",
    "land": "#e3e6df",
    "first": "#cc7a52",
    "lost": "#e7b79f",
    "a": "#2f6fb5",
    "b": "#d17a00",
}
"""CSS variables of the page, and what matplotlib draws in their stead; :func:`svg` puts the variables back."""

_STYLE: dict[str, Any] = {
    "svg.hashsalt": "report",  # element ids are random without it
    "svg.fonttype": "none",  # text stays text: the reader's font, selectable, small
    "font.size": 9,
    "text.color": COLOURS["ink"],
    "axes.edgecolor": COLOURS["ink"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.color": COLOURS["ink"],
    "ytick.color": COLOURS["ink"],
    "figure.constrained_layout.use": True,
}

_DRAWING = threading.Lock()
"""matplotlib's style is global to the process, and two reports may be drawn by two threads."""


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the report's look; nothing that a person or another thread has set counts."""
    # From matplotlib's defaults: a person's own matplotlibrc must not change a byte.
    with _DRAWING, matplotlib.style.context(["default", _STYLE]):
        yield


def svg(figure: Figure) -> str:
    """Return ``figure`` as an SVG element to stand inside HTML; only within :func:`drawing`."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", dpi=200, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    for name, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # every figure has an axes_1, and a page may have an id but once
    # What is referred to, as a glyph, is called by what it is: figures that draw the same have the same names.
    own, names = f"f{hashlib.sha256(text.encode()).hexdigest()[:8]}-", set(re.findall(r' id="([^"]*)"', text))
    referring = re.compile(r'( id="|href="#|url\(#)([^")]+)')  # a figure may refer to a place on the page, too
    text = referring.sub(lambda found: f"{found[1]}{own if found[2] in names else ''}{found[2]}", text)
    return text[text.index("<svg") :]  # without the XML prologue, which has no place inside HTML
