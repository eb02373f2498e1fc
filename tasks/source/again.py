"""The source of a subset that was made already: where it lies now, read as the subset's recipe reads it."""

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from schemas.manifest import Manifest
from schemas.source import FileSource, HubSource, Source
from tasks.source.read import open_shard
from tasks.source.shards import Shard, ShardUnreadable, SourceError


def source_at(manifest: Manifest, path: str, *, hub: bool = False, revision: str | None = None) -> Source:
    """Return the source of a subset, its format, split and columns as in the subset's recipe.

    Args:
        manifest: the subset's.
        path: where the source lies now: folder, file, glob or URL, or with ``hub`` the id of a data set.
        hub: whether it is a data set of the Hub.
        revision: of the data set; None: the one that the subset was made of.

    Raises:
        SourceError: if the path is no id of a data set, or the manifest's recipe does not describe a source.
    """
    facts = {**manifest.recipe.get("source", {}), "path": path}
    try:
        if not hub:
            return FileSource.model_validate(facts | {"kind": "files"})
        known = manifest.source.revision if manifest.source.hub is not None else None  # else it is no word of the Hub's
        return HubSource.model_validate(facts | {"kind": "hub", "revision": revision or known})
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise SourceError(f"{path}: cannot be read as the source of {manifest.subset}: {told}") from error


def count_rows(shard: Shard) -> int | None:
    """Return the rows of a shard from its footer or the heads of its messages; None where only reading it tells."""
    if shard.format not in ("arrow", "parquet"):
        return None
    try:
        with open_shard(shard, in_place=True) as (file, _):
            if shard.format == "parquet":
                return int(pq.read_metadata(file).num_rows)
            if file.read_at(6, 0) == b"ARROW1":
                return int(pa.ipc.open_file(file).count_rows())
            return sum(int(batch.num_rows) for batch in pa.ipc.open_stream(file))
    except (OSError, pa.ArrowException, ShardUnreadable):
        return None
