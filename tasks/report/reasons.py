"""The bar chart of reasons: how many pairs each cost first, and how many carry it, with a link to examples."""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby

from matplotlib.figure import Figure

from schemas.reports import ReasonCount
from tasks.report.look import COLOURS, drawing, svg

_ROW_INCHES = 0.215
_LABELS = 1.72  # width of the codes, the longest is ground_resolution_outside [inches]
_BARS = 1.5
_NUMBERS, _CHARACTER = 0.88, 0.068  # width of the numbers, at least, and of each character of the longest [inches]


def reason_bars(counts: Sequence[ReasonCount], anchors: Mapping[str, str]) -> str:
    """Draw ``counts``, in stage order, as SVG: narrow, so that a phone shows it in full size.

    ``anchors`` has for some codes the id of an element of the page; their codes and bars lead there.
    """
    stages = [(stage.value, list(of)) for stage, of in groupby(counts, key=lambda count: count.reason.stage)]
    lines = len(counts) + 1.45 * len(stages)
    most = max(count.rows for count in counts)
    told = {
        count.reason: f"{count.primary:,}" + (f" of {count.rows:,}" if count.rows != count.primary else "")
        for count in counts
    }
    numbers = max(_NUMBERS, 0.06 + _CHARACTER * max(map(len, told.values())))
    width, height = _LABELS + _BARS + numbers, lines * _ROW_INCHES
    with drawing():
        figure = Figure(figsize=(width, height), facecolor="none")
        figure.set_layout_engine("none")
        axes = figure.add_axes((_LABELS / width, 0, _BARS / width, 1))
        axes.set(xlim=(0, most), ylim=(lines - 0.2, -0.2))
        axes.set_axis_off()
        at = 0.0
        for stage, of in stages:
            at += 0.95
            axes.text(-_LABELS / _BARS * most, at - 0.5, stage, va="center", fontweight="bold")
            for count in of:
                anchor = anchors.get(count.reason.value)
                link = anchor and f"#{anchor}"
                axes.barh(at + 0.5, most, 0.62, color=COLOURS["land"], alpha=0.5, url=link)
                axes.barh(at + 0.5, count.rows, 0.62, color=COLOURS["lost"], url=link)
                axes.barh(at + 0.5, count.primary, 0.62, color=COLOURS["first"], url=link)
                axes.text(-0.045 * most, at + 0.5, count.reason.value, va="center", ha="right", fontsize=8.5, url=link)
                axes.text(1.04 * most, at + 0.5, told[count.reason], va="center", fontsize=8.5)
                at += 1
            at += 0.5
        drawn = svg(figure)
    # Links stay on the page. A keyboard and a screen reader meet the code's; the bar beside it has one for the mouse.
    here = drawn.replace(' target="_blank"', "")
    return re.sub(r'<a (xlink:href="[^"]*")>(?=\s*<path)', r'<a \1 tabindex="-1" aria-hidden="true">', here)
