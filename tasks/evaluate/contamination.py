"""Which pictures of a data set are copies of a subset's: what a model was trained on, it need not recognise."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from upath import UPath

from schemas.errors import CurationError
from schemas.recipe import Deduplication, NearDuplicates
from schemas.reports import ReferenceReport, ScanReport
from schemas.source import Columns, FileSource
from tasks.files import read_parquet
from tasks.published import read_manifest
from tasks.source.columns import IMAGE
from tasks.versions import followed
from tasks.write.schema import DataSchema


class NoPictures(CurationError):
    """A subset has no data files."""


def subset_source(folder: UPath) -> FileSource:
    """Return the data files of the subset in ``folder``, of all its splits, as a source of pictures.

    Raises:
        NotASubset: if there is none.
        NoPictures: if it is an index, or keeps no row.
    """
    directory = followed(folder)
    manifest = read_manifest(directory)
    if manifest.mode == "index":
        told = f"found an index, expected data files: `git10m materialize {folder}` makes them of your copy"
        raise NoPictures(f"exclude_contaminated: {folder}: {told} of the source")
    if not manifest.funnel.kept:
        raise NoPictures(f"exclude_contaminated: {folder}: the subset keeps no row")
    in_tars = manifest.recipe["output"]["format"] == "webdataset"
    image = None if in_tars else DataSchema.of(manifest.columns).columns[IMAGE]
    return FileSource(
        path=f"{directory}/data/*.{'tar' if in_tars else 'parquet'}",
        name=manifest.subset,
        format="webdataset" if in_tars else "parquet",
        columns=Columns(image=image),
    )


def find_copies(
    scan: ScanReport, subsets: Sequence[ReferenceReport], near: NearDuplicates | None, workspace: UPath
) -> NDArray[np.bool_]:
    """Return which rows of ``scan`` are copies of a picture of ``subsets``: shape (rows,).

    Raises:
        TooManyPairs: if too many pictures look alike.
    """
    # Numba takes half a second to import.
    from tasks.deduplicate.pictures import distinct_pictures
    from tasks.deduplicate.references import find_contaminated

    settings = Deduplication(near=near)
    path = find_contaminated(scan, distinct_pictures(scan), subsets, settings, workspace)
    copied = np.zeros(scan.rows, np.bool_)
    copied[read_parquet(path, ["row_id"])["row_id"].to_numpy()] = True
    return copied
