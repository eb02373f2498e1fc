"""What can be said of a source's columns before all of it is read."""

from collections.abc import Sequence

from schemas.recipe import Recipe
from tasks.source.columns import resolve
from tasks.source.read import read_schema
from tasks.source.shards import Shard, ShardUnreadable, SourceError


def refuse_other_columns(recipe: Recipe, shards: Sequence[Shard]) -> None:
    """Raise :class:`SourceError` if first, middle and last shard all lack the columns, before all are fetched for that.

    What cannot be read is left to the scan.
    """
    told = []
    for shard in dict.fromkeys((shards[0], shards[len(shards) // 2], shards[-1])):
        try:
            resolve(read_schema(shard, in_place=True), recipe.source.columns.model_dump(), images=recipe.scan.images)
            return
        except ShardUnreadable as error:
            if error.shard is not None:  # its reader says so, and not `resolve`
                return
            told.append(error.of(shard.name))
        except OSError:
            return
    raise SourceError(f"{told[0]}; see source.columns") from told[0]
