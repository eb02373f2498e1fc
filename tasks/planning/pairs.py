"""What a plan knows of the pairs of one kind of duplicates: whether a run would search for them, and where they lie."""

from typing import Literal, NamedTuple

from upath import UPath

from tasks.files import parquet_rows


class Pairs(NamedTuple):
    """Duplicates of one kind: by looks, by meaning, or of a reference set."""

    state: Literal["off", "reused", "extended", "searched"]
    path: UPath | None = None
    new_rows: int = 0  # that no search has seen
    left_out: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def rows(self) -> int | None:
        """Rows of the file; None where nobody searched."""
        return None if self.path is None or self.left_out else parquet_rows(self.path)
