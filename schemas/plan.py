"""What a run would do, told before it does anything."""

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, model_validator
from rich.filesize import decimal

from schemas.base import Location, Model
from schemas.reports import Funnel, QuarantinedShard, ReasonCount, Threshold


class SourcePlan(Model):
    """A source or reference set: what of it is scanned already, and what is to be read."""

    key: str = Field(description="Where it stands in the recipe.")
    name: str
    path: str = Field(description="As the recipe has it.")
    revision: str | None = Field(description="As it stands now: on the Hub a commit.")
    shards: NonNegativeInt = Field(description="Shards that it lists.")
    known_shards: NonNegativeInt = Field(description="Shards whose signals are there, and will be reused.")
    known_rows: NonNegativeInt = Field(description="Rows of these.")
    known_bytes: NonNegativeInt = Field(description="Size of these shards [bytes].")
    new_shards: NonNegativeInt = Field(description="Shards that will be scanned.")
    new_bytes: NonNegativeInt = Field(description="Size of these [bytes].")
    fetched_bytes: NonNegativeInt = Field(
        description="Of these, what will be fetched from elsewhere; 0 where only columns are read, in place [bytes]."
    )
    missing_shards: NonNegativeInt = Field(description="Shards that are listed, and not there or not to be opened.")
    bad_shards: tuple[QuarantinedShard, ...] = Field(description="The missing ones, and those found damaged before.")

    @model_validator(mode="after")
    def _conserves(self) -> Self:
        told = self.known_shards + self.new_shards + self.missing_shards
        if told != self.shards:
            raise ValueError(f"{self.key}: {self.shards} shards are listed, but {told} known, new or missing")
        return self


class DuplicatesPlan(Model):
    """What becomes of the search for near-duplicates, for semantic ones and for copies of reference pictures."""

    near: Literal["off", "reused", "extended", "searched"] = Field(description="The pairs of near-duplicates.")
    new_rows: NonNegativeInt | None = Field(
        description="Rows that no search has seen; null while shards are to be scanned, whose rows nobody counted."
    )
    pairs: NonNegativeInt | None = Field(description="Pairs among the rows scanned so far; null: not searched here.")
    semantic: Literal["off", "reused", "searched"] = Field("off", description="The pairs of semantic duplicates.")
    semantic_pairs: NonNegativeInt | None = Field(
        None, description="Such pairs among the rows scanned so far; null: not searched here."
    )
    references: Literal["off", "reused", "searched"] = Field(description="The rows that are copies of a reference.")
    contaminated_rows: NonNegativeInt | None = Field(description="Such rows so far; null: not searched here.")


class ScorerPlan(Model):
    """What becomes of the vectors of one scorer."""

    name: str = Field(description="Of the scorer.")
    known_rows: NonNegativeInt = Field(description="Rows of scanned shards whose vectors are there.")
    new_rows: NonNegativeInt = Field(description="Rows of scanned shards that will be embedded.")
    new_bytes: NonNegativeInt | None = Field(
        description="Their vectors, 4 bytes for each dimension; null: how many the model has is not known yet [bytes]."
    )


Place = Literal["new", "unchanged", "kept", "changed", "there", "in the way"]


class Outcome(Model):
    """What a subset will hold: exactly, or as :attr:`Plan.estimate` says."""

    rows: NonNegativeInt = Field(description="Rows of the source, scanned so far.")
    kept: NonNegativeInt
    image_bytes: NonNegativeInt | None = Field(description="Of the kept rows; null: images are not read [bytes].")
    splits: dict[str, NonNegativeInt] = Field(description="Kept rows of each split.")
    thresholds: tuple[Threshold, ...] = Field(description="Thresholds on scores and signals as numbers.")
    funnel: Funnel
    reasons: tuple[ReasonCount, ...] = Field(description="Reasons of rejected rows, in stage order.")
    flags: tuple[ReasonCount, ...] = Field(description="Rules that kept rows break, but that only flag.")
    data_files: NonNegativeInt = Field(description="0 in mode `index`.")
    estimated_bytes: NonNegativeInt = Field(description="The subset on disk, reckoned from the source [bytes].")
    read_shards: NonNegativeInt = Field(description="Shards of which the write copies rows.")
    refetched_bytes: NonNegativeInt = Field(
        description="Of those that lie elsewhere, the most that the write fetches again [bytes]."
    )

    @model_validator(mode="after")
    def _conserves(self) -> Self:
        for name, found in (("the funnel", self.funnel.kept), ("the splits", sum(self.splits.values()))):
            if found != self.kept:
                raise ValueError(f"{self.kept} rows are kept, but {found} at the end of {name}")
        return self


class SubsetPlan(Model):
    """One subset."""

    subset: str
    directory: Location
    place: Place = Field(
        description="What its folder holds now: nothing; just this subset; another version, which gives way; a version "
        "that cannot be compared before all is known; or something that is no subset, and ends the run."
    )
    problem: str | None = Field(None, description="Why there is no outcome.")
    outcome: Outcome | None = Field(None, description="null where nothing is scanned yet, or with a problem.")


class DiskPlan(Model):
    """Room on a disk of this machine."""

    folder: Location
    holds: str = Field(description="What will be put there.")
    needed_bytes: NonNegativeInt | None = Field(description="Most bytes at once; null: not known yet [bytes].")
    free_bytes: NonNegativeInt = Field(description="Free now [bytes].")


class Plan(Model):
    """What ``curate`` would do with a recipe now."""

    source: SourcePlan
    references: tuple[SourcePlan, ...] = ()
    scorers: tuple[ScorerPlan, ...] = ()
    duplicates: DuplicatesPlan
    subsets: tuple[SubsetPlan, ...]
    disks: tuple[DiskPlan, ...]
    fetched_limit_bytes: NonNegativeInt = Field(description="engine.fetched_bytes of the recipe [bytes].")
    estimate: tuple[str, ...] = Field(description="Why the outcomes are not exact; empty where they are.")
    problems: tuple[str, ...] = Field(description="What would make the run fail, as far as it can be told now.")

    def __str__(self) -> str:
        """Return in a line each what would be read, what each subset would keep, and what would go wrong."""
        new = f"{self.source.new_shards:,} of {self.source.shards:,} shards, {decimal(self.source.new_bytes)}, to scan"
        lines = [f"{self.source.name}: {new}; near-duplicates {self.duplicates.near}"]
        lines += [f"{scorer.name}: {scorer.new_rows:,} rows to embed" for scorer in self.scorers if scorer.new_rows]
        about = "about " if self.estimate else ""
        for one in self.subsets:
            kept = one.problem or "not known before something is scanned"
            if one.outcome is not None:
                kept = f"keeps {about}{one.outcome.kept:,} of {one.outcome.rows:,} rows"
            lines.append(f"{one.subset}: {kept}; {one.directory}: {one.place}")
        return "\n".join((*lines, *(f"problem: {problem}" for problem in self.problems)))
