"""Make the demo's reference set: a Parquet file of pictures that, let us say, a model is to be tested on."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from tasks.demo.pairs import Tile, cut_pictures, name_of
from tasks.demo.planted import NotADemoSource
from tasks.files import appearing

REFERENCE_TILES: tuple[Tile, ...] = (
    (5, 4, 9),  # the fjords of Alaska
    (5, 5, 12),  # California
    (5, 6, 13),  # the Sierra Madre
    (5, 9, 9),  # Ungava Bay
    (5, 15, 12),  # the Strait of Gibraltar
    (5, 17, 18),  # the Namib
    (5, 18, 12),  # the Aegean
    (5, 19, 14),  # the Red Sea
    (5, 22, 12),  # the Karakoram
    (5, 23, 11),  # the Tian Shan
    (5, 24, 13),  # the bend of the Brahmaputra
    (5, 26, 18),  # Western Australia
)
"""What the pictures show: tiles of the Blue Marble at zoom 5, which no sound pair has; rich ones, and far apart."""


def make_reference(path: Path) -> None:
    """Write the reference set to ``path``, unless it is there. It is the same for every demo source.

    Raises:
        NotADemoSource: if ``path`` holds something else; nothing is changed.
        MapsMissing: if the maps are not installed.
    """
    data = _as_parquet()
    if not path.exists():
        with appearing(UPath(path)) as temporary:
            temporary.write_bytes(data)
    elif not (path.is_file() and path.read_bytes() == data):
        raise NotADemoSource(f"{path} is not the demo's reference set; remove it, or name another folder")


def _as_parquet() -> bytes:
    images = [{"bytes": image, "path": None} for image in cut_pictures("bluemarble", REFERENCE_TILES)]
    table = pa.table(
        [
            pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
            pa.array([name_of("bluemarble", tile) for tile in REFERENCE_TILES]),
        ],
        ["image", "img_name"],
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())
