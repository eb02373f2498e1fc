"""Maps of where pairs lie: density by cell over coastlines, the whole world or no more than the source needs."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray

from tasks.report.coastline import rings
from tasks.report.look import COLOURS, drawing, svg

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Box = tuple[float, float, float, float]
MapColour = Literal["source", "subset", "a", "b"]

SPLIT_COLOURS = ("#0072b2", "#e69f00", "#cc79a7", "#009e73", "#56b4e9", "#d55e00")
"""Of the splits, largest first: told apart by colour-blind people too (Okabe and Ito, 2008)."""

_DOTS: dict[MapColour, str] = {"source": "#64748b", "subset": "#0e8a7d", "a": "#2f6fb5", "b": "#c46f00"}
"""The map's dots are pixels, which no CSS variable reaches: the page brightens them on dark."""

_SIZES = (2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002)
_CELLS_ACROSS = 80
_LARGEST_PART = 110.0
"""Of a source that spans more degrees of longitude the whole world is shown."""
_SMALLEST_PART = 0.25
_MANY_DOTS = 1400  # more are drawn as a picture of a pixel a cell, which is small and has no gaps
_SHAPE = 1.9  # of a map, width to height
_MARGIN = 1.16
_SEEN = 15.0  # a part as wide is seen on the small map of the world; a smaller one is a mark there [degrees]
_SHIFTS = (-360.0, 0.0, 360.0)


class Extent(NamedTuple):
    """What a map shows, in square cells counted from the south-west."""

    west: float  # [degrees]; a part of the world may reach beyond 180
    south: float
    cell: float  # side of a cell [degrees]
    columns: int
    rows: int

    @property
    def east(self) -> float:
        """Its eastern edge [degrees]."""
        return self.west + self.columns * self.cell

    @property
    def north(self) -> float:
        """Its northern edge [degrees]."""
        return self.south + self.rows * self.cell

    @property
    def whole(self) -> bool:
        """Whether it goes around the globe."""
        return self.columns * self.cell >= 360


_WORLD = Extent(west=-180.0, south=-90.0, cell=2.0, columns=180, rows=90)


def extent_of(longitude: Floats, latitude: Floats) -> Extent:
    """Return the extent that shows all points, finite degrees of shape ``(n,)``: the world, or the part they lie in.

    >>> extent_of(np.array([179.5, -179.5]), np.array([-17.0, -18.0]))._replace(rows=0, columns=0)
    Extent(west=178.84, south=-18.08, cell=0.02, columns=0, rows=0)
    """
    start, span = _arc(longitude)
    if not len(longitude) or span > _LARGEST_PART:
        south = max(-90.0, min(-58.0, 2 * np.floor(latitude.min(initial=0) / 2) - 2))  # without tiles, no Antarctica
        return Extent(-180.0, south, 2.0, 180, round((84 - south) / 2))
    east_of_start = (longitude - start) % 360
    low, high = float(latitude.min()), float(latitude.max())
    middle = start + float(east_of_start.min() + east_of_start.max()) / 2, (low + high) / 2
    squeeze = float(np.cos(np.radians(middle[1])))
    needed = float(np.ptp(east_of_start)), (high - low) * _SHAPE / squeeze
    width = max(*(_MARGIN * degrees for degrees in needed), _SMALLEST_PART)
    height = width * squeeze / _SHAPE
    cell = next((size for size in _SIZES if width / size >= _CELLS_ACROSS), _SIZES[-1])
    west, south = (cell * np.floor((at - size / 2) / cell) for at, size in zip(middle, (width, height), strict=True))
    columns, rows = (int(np.ceil(size / cell)) + 1 for size in (width, height))
    north = min(float(south) + rows * cell, 90.0)  # a frame ends at the pole
    south = max(float(south), -90.0)
    rows = round((north - south) / cell)
    return Extent(round(float(west), 6), round(float(south), 6), cell, columns, rows)


def tile_counts(longitude: Floats, latitude: Floats, extent: Extent) -> Counts:
    """Return how many of the points, finite degrees of shape ``(n,)``, lie in each cell of ``extent``.

    The result has shape ``(rows, columns)``: the map is as small for ten million tiles as for ten. A point north of the
    world's map, which ends where tiles do, counts in the northernmost cell.
    """
    column = np.floor((longitude - extent.west) % 360 / extent.cell).astype(np.int64)
    row = np.floor((latitude - extent.south) / extent.cell).astype(np.int64)
    column, row = np.minimum(column, extent.columns - 1), np.clip(row, 0, extent.rows - 1)
    cells = np.bincount(row * extent.columns + column, minlength=extent.rows * extent.columns)
    return cells.reshape(extent.rows, extent.columns)


def tile_map(cells: Counts, *, extent: Extent, most: int, colour: MapColour, box: Box | None) -> str:
    """Draw a map of :func:`tile_counts` as SVG; see :func:`draw_map`."""
    with drawing():
        height = 0.5 + 4.2 * extent.rows / extent.columns if extent.whole else 2.2
        figure = Figure(figsize=(4.3, height), facecolor="none")
        draw_map(figure.add_subplot(facecolor="none"), cells, extent=extent, most=most, colour=colour, box=box)
        return svg(figure)


def draw_map(axes: Axes, cells: Counts, *, extent: Extent, most: int, colour: MapColour, box: Box | None) -> None:
    """Draw a map of :func:`tile_counts` with its colour bar; only within :func:`drawing`.

    ``most``, the largest count of all maps that are to compare, sets the colour scale; ``box`` is (west, south, east,
    north) in degrees, with west above east when it crosses the antimeridian.
    """
    shades = LinearSegmentedColormap.from_list(colour, [(_DOTS[colour], 0.4), (_DOTS[colour], 1.0)])
    scale: dict[str, Any] = {"norm": LogNorm(1, max(most, 10)), "cmap": shades}
    rows, columns = np.nonzero(cells)
    shown: ScalarMappable
    if len(rows) > _MANY_DOTS:
        edges = (extent.west, extent.east, extent.south, extent.north)
        filled = np.ma.masked_equal(cells, 0)
        shown = axes.imshow(filled, origin="lower", extent=edges, interpolation="none", zorder=1, **scale)
    else:
        longitude, latitude = extent.west + extent.cell * (columns + 0.5), extent.south + extent.cell * (rows + 0.5)
        colours, size = cells[rows, columns], _dot_size(len(rows))
        shown = axes.scatter(longitude, latitude, c=colours, s=size, linewidths=0, rasterized=True, **scale)
    _ground(axes, extent)
    if box:
        _frame(axes, box, extent)
    bar = axes.figure.colorbar(shown, ax=axes, orientation="horizontal", shrink=0.42, aspect=34, pad=0.02)
    bar.set_label(f"pairs per {extent.cell:g}° cell", labelpad=1)
    bar.ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    bar.ax.minorticks_off()
    bar.ax.set_facecolor("none")
    bar.outline.set_visible(False)


def split_map(splits: Mapping[str, Counts], extent: Extent) -> str:
    """Draw in which cells each split has pairs as SVG; ``splits`` are :func:`tile_counts`, largest split first.

    A cell has a dot for each split in it, those of smaller splits smaller and on top; what :data:`SPLIT_COLOURS` has no
    colour for is left out.
    """
    with drawing():
        height = 0.1 + 6.3 * extent.rows / extent.columns if extent.whole else 2.7
        figure = Figure(figsize=(6.4, height), facecolor="none")
        axes = figure.add_subplot(facecolor="none")
        size = 2.2 * _dot_size(max((int(np.count_nonzero(cells)) for cells in splits.values()), default=0))
        for number, (cells, colour) in enumerate(zip(splits.values(), SPLIT_COLOURS, strict=False)):
            rows, columns = np.nonzero(cells)
            axes.scatter(
                extent.west + extent.cell * (columns + 0.5),
                extent.south + extent.cell * (rows + 0.5),
                c=colour,
                s=size * 0.42**number,
                linewidths=0,
                rasterized=True,
            )
        _ground(axes, extent)
        return svg(figure)


def land(west: float = -180, south: float = -90, east: float = 180, north: float = 90) -> Path:
    """Return the land that may be seen between these edges as one path of closed rings, (longitude, latitude)."""
    seen = [
        ring
        for ring, low, high in _rings()
        if low[0] <= east and high[0] >= west and low[1] <= north and high[1] >= south
    ]
    return Path.make_compound_path(*(Path(ring, closed=True) for ring in seen)) if seen else Path(np.empty((0, 2)))


@cache
def _rings() -> list[tuple[Floats, Floats, Floats]]:
    """Return the outline of each piece of land, shape ``(n, 2)``, with its south-west and its north-east."""
    return [(ring, ring.min(axis=0), ring.max(axis=0)) for ring in rings()]


def _arc(longitude: Floats) -> tuple[float, float]:
    """Return where the shortest arc that holds all points begins, and its length, both to a degree."""
    taken = np.flatnonzero(np.bincount(np.floor(longitude % 360).astype(np.int64) % 360, minlength=360))
    if not len(taken):
        return 0.0, 0.0
    gaps = np.diff(taken, append=taken[0] + 360) - 1
    widest = int(gaps.argmax())
    start = int(taken[(widest + 1) % len(taken)])
    return float(start if start < 180 else start - 360), float(360 - gaps[widest])


def _dot_size(dots: int) -> float:
    return float(np.clip(6000 / max(dots, 1), 3, 24))


def _ground(axes: Axes, extent: Extent) -> None:
    """Draw land and its outline; of a part of the world also degrees, and where in the world it lies."""
    for shift in _SHIFTS:
        if extent.west < 180 + shift and shift - 180 < extent.east:
            there = Affine2D().translate(shift, 0) + axes.transData
            outline = land(extent.west - shift, extent.south, extent.east - shift, extent.north)
            axes.add_artist(PathPatch(outline, facecolor=COLOURS["land"], edgecolor="none", transform=there, zorder=0))
            axes.add_artist(
                PathPatch(outline, fill=False, edgecolor=COLOURS["ink"], linewidth=0.3, transform=there, zorder=3)
            )
    axes.set(xlim=(extent.west, extent.east), ylim=(extent.south, extent.north))
    if extent.whole:
        axes.set(aspect="equal", xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        return
    middle = (extent.south + extent.north) / 2
    # To the west, or the layout takes the room beside a centred map for that of its degrees.
    axes.set_aspect(1 / max(float(np.cos(np.radians(middle))), 0.05), anchor="W")
    axes.spines[:].set(visible=True, alpha=0.4)
    axes.tick_params(length=2, labelsize=7)
    for axis, ends in ((axes.xaxis, "EW"), (axes.yaxis, "NS")):
        axis.set_major_locator(MaxNLocator(4))
        axis.set_major_formatter(FuncFormatter(lambda degrees, _, ends=ends: _degrees(degrees, ends)))
    world = axes.inset_axes((1.03, 0.6, 0.36, 0.4), facecolor="none")
    rough = [Path(ring[::4], closed=True) for ring, _, _ in _rings() if len(ring) > 24]
    world.add_artist(PathPatch(Path.make_compound_path(*rough), facecolor=COLOURS["source"], edgecolor="none"))
    if extent.east - extent.west < _SEEN:
        centre = ((extent.west + extent.east) / 2 + 180) % 360 - 180
        world.plot([centre], [middle], "s", color=COLOURS["limit"], markersize=3)
    else:
        _frame(world, (extent.west, extent.south, extent.east, extent.north), _WORLD, linestyle="-")
    world.set(xlim=(-180, 180), ylim=(-90, 84), aspect="equal", anchor="NW", xticks=[], yticks=[])
    world.spines[:].set(visible=True, alpha=0.4)


def _degrees(degrees: float, ends: str) -> str:
    wrapped = (degrees + 180) % 360 - 180 if ends == "EW" else degrees
    return f"{abs(wrapped):g}°" + (ends[int(wrapped < 0)] if wrapped else "")


def _frame(axes: Axes, box: Box, extent: Extent, *, linestyle: str = "--") -> None:
    west, south, east, north = box
    width = (east - west) % 360 or 360  # from edge to edge of the map
    for shift in _SHIFTS:  # the part beyond the antimeridian comes in from the other side
        if extent.west < west + shift + width and west + shift < extent.east:
            corner = (west + shift, south)
            axes.add_patch(
                Rectangle(corner, width, north - south, fill=False, edgecolor=COLOURS["limit"], linestyle=linestyle)
            )
