"""What each stage says it did: pydantic reports whose validators check that nothing was lost.

A report that does not add up raises :class:`pydantic.ValidationError` where it is made: it is a bug, never a warning.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import sub
from typing import Literal, Self

from pydantic import Field, NonNegativeInt, model_validator
from rich.filesize import decimal

from schemas.base import Location, Model
from schemas.embedding import ScorerIdentity
from schemas.reasons import OPTIONAL, Reason, Stage
from schemas.tables import FACT_COLUMNS


class QuarantinedShard(Model):
    """A shard that could not be read, or not to its end, and why."""

    shard: str
    error: str
    rows: NonNegativeInt = Field(0, description="Rows before the damage, which were read and are not lost.")


class ShardReport(Model):
    """One shard, scanned now or before."""

    shard: str = Field(description="File name in the source.")
    content_xxh3: str = Field(description="XXH3-128, in hex, of what a scan reads of the shard: its identity.")
    byte_length: NonNegativeInt = Field(description="Size of the shard [bytes].")
    rows: NonNegativeInt
    sound_rows: NonNegativeInt = Field(description="Rows without a defect.")
    defective_rows: NonNegativeInt = Field(description="Rows with at least one defect.")
    image_bytes: NonNegativeInt = Field(description="Bytes of all images [bytes].")
    signals: Location = Field(description="The shard's signals file in the workspace.")
    reused: bool = Field(description="True when an earlier scan's signals were taken.")
    status: tuple[int | str, ...] = Field((), description="What changes when the file does, as it was scanned.")
    layout: dict[str, str] = Field(description="Column of the shard that holds each fact; absent facts are left out.")
    damage: str | None = Field(None, description="Why the shard could not be read to its end; null for a sound one.")

    @model_validator(mode="after")
    def _conserves(self) -> Self:
        _equal(f"{self.shard}: rows", self.rows, "sound + defective rows", self.sound_rows + self.defective_rows)
        return self


class ScanReport(Model):
    """All shards of a source, in source order. A damaged shard is in both lists: with its rows, and quarantined."""

    shards: tuple[ShardReport, ...]
    quarantined: tuple[QuarantinedShard, ...] = ()
    listed_shards: NonNegativeInt = Field(description="Shards that the source lists.")

    @classmethod
    def of(cls, outcomes: Sequence[ShardReport | QuarantinedShard]) -> Self:
        """Return the report on all of a source's shards, from what became of each."""
        quarantined = []
        for outcome in outcomes:
            if isinstance(outcome, QuarantinedShard):
                quarantined.append(outcome)
            elif outcome.damage is not None:
                quarantined.append(QuarantinedShard(shard=outcome.shard, error=outcome.damage, rows=outcome.rows))
        return cls(
            shards=tuple(outcome for outcome in outcomes if isinstance(outcome, ShardReport)),
            quarantined=tuple(quarantined),
            listed_shards=len(outcomes),
        )

    @model_validator(mode="after")
    def _conserves(self) -> Self:
        damaged = sum(shard.damage is not None for shard in self.shards)
        told = len(self.shards) + len(self.quarantined) - damaged
        _equal("listed shards", self.listed_shards, "scanned + quarantined", told)
        return self

    def without(self, shard: str, error: str) -> Self:
        """Return this report with ``shard`` quarantined for ``error``, and none of its rows."""
        bad = (*(bad for bad in self.quarantined if bad.shard != shard), QuarantinedShard(shard=shard, error=error))
        good = tuple(report for report in self.shards if report.shard != shard)
        return type(self)(shards=good, quarantined=bad, listed_shards=self.listed_shards)

    @property
    def absent(self) -> tuple[str, ...]:
        """Facts for which no shard has a column, in Git-10M's names."""
        present = {fact for shard in self.shards for fact in shard.layout}
        return tuple(name for name in FACT_COLUMNS if name not in present) if self.shards else ()

    @property
    def rows(self) -> int:
        """Rows in all readable shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def scanned(self) -> int:
        """Shards that were read in this run."""
        return sum(not shard.reused for shard in self.shards)

    def __str__(self) -> str:
        """Return what was done, in words."""
        if self.scanned == 0 and not self.quarantined:
            return f"scanned 0, reused all {len(self.shards)} shards ({self.rows:,} rows)"
        reused = len(self.shards) - self.scanned
        bad = f", quarantined {len(self.quarantined)}" if self.quarantined else ""
        return f"scanned {self.scanned}, reused {reused} of {self.listed_shards} shards{bad} ({self.rows:,} rows)"


class ReferenceReport(Model):
    """A reference set, scanned."""

    name: str = Field(description="As the recipe has it.")
    scan: ScanReport


class DeduplicateReport(Model):
    """What of a source is the same picture, and what is a copy of a reference picture."""

    rows: NonNegativeInt
    hashed_rows: NonNegativeInt = Field(description="Rows that have a perceptual hash.")
    pictures: NonNegativeInt = Field(description="Pictures that can be told apart.")
    pairs: NonNegativeInt = Field(description="Pairs of near-duplicates among them.")
    path: Location | None = Field(description="The pairs file in the workspace; None when near-duplicates are off.")
    reused: bool = Field(description="True when the pairs were there already.")
    semantic_pairs: NonNegativeInt = Field(0, description="Pairs of pictures that show the same, to a model.")
    semantic: Location | None = Field(None, description="The file of these pairs; None when semantic ones are off.")
    contaminated_rows: NonNegativeInt = Field(0, description="Rows that are copies of a reference picture.")
    contaminated: Location | None = Field(None, description="The file of these rows; None without reference sets.")
    references: tuple[ReferenceReport, ...] = ()

    @model_validator(mode="after")
    def _conserves(self) -> Self:
        if not self.pictures <= self.hashed_rows <= self.rows:
            raise ValueError(f"{self.pictures} pictures of {self.hashed_rows} hashes of {self.rows} rows")
        if self.contaminated_rows > self.rows:
            raise ValueError(f"{self.contaminated_rows} contaminated rows of {self.rows}")
        return self

    def __str__(self) -> str:
        """Return what was found, in words."""
        again = ", reused" if self.reused else ""
        told = f"{self.pairs:,} pairs among {self.pictures:,} distinct pictures{again}"
        if self.path is None:
            told = "near-duplicates are off"
        if self.semantic is not None:
            told += f"; {self.semantic_pairs:,} semantic pairs"
        if self.contaminated is not None:
            told += f"; {self.contaminated_rows:,} rows contaminated"
        return told


def percentage(part: int, whole: int) -> str:
    """Return ``part`` of ``whole`` [%], never rounded to none or all of it.

    >>> percentage(1, 3), percentage(1, 9999), percentage(9998, 9999), percentage(0, 0)
    ('33.3', '< 0.1', '> 99.9', '0.0')
    """
    hundredths = 100 * part / whole if whole else 0.0
    if 0 < hundredths < 0.1:
        return "< 0.1"
    if 99.9 < hundredths < 100:
        return "> 99.9"
    return f"{hundredths:.1f}"


class FunnelStep(Model):
    """Rows that one stage took out, by primary reason, and rows left after it."""

    stage: Stage
    rejected: NonNegativeInt
    left: NonNegativeInt


class Funnel(Model):
    """Rows left after each stage, each row counted once, under its primary reason."""

    source_rows: NonNegativeInt
    steps: tuple[FunnelStep, ...]

    @model_validator(mode="after")
    def _conserves(self) -> Self:
        left = self.source_rows
        for step in self.steps:
            left -= step.rejected
            _equal(f"left after {step.stage.value}", step.left, "left before - rejected", left)
        return self

    @classmethod
    def of(cls, source_rows: int, rejected: Mapping[Stage, int]) -> Self:
        """Return the funnel of rows ``rejected`` by each stage, in the order of the stages."""
        left = list(accumulate(rejected.values(), sub, initial=source_rows))[1:]
        steps = (
            FunnelStep(stage=stage, rejected=rows, left=rest)
            for (stage, rows), rest in zip(rejected.items(), left, strict=True)
        )
        return cls(source_rows=source_rows, steps=tuple(steps))

    @property
    def told(self) -> tuple[FunnelStep, ...]:
        """The steps worth telling: those that every subset has, and of the others those that rejected a row."""
        return tuple(step for step in self.steps if step.rejected or step.stage not in OPTIONAL)

    @property
    def kept(self) -> int:
        """Rows left at the end."""
        return self.steps[-1].left if self.steps else self.source_rows

    def share(self, rows: int) -> str:
        """Return which part of the source ``rows`` are [%], as :func:`percentage` does."""
        return percentage(rows, self.source_rows)

    def __str__(self) -> str:
        """Return a small table: stage, rows rejected there, rows left, and which part of all that is."""
        lines = [("stage", "rejected", "left", "left %"), ("source", "", f"{self.source_rows:,}", "100.0")]
        told = ((step.stage.value, f"{step.rejected:,}", f"{step.left:,}", self.share(step.left)) for step in self.told)
        return _aligned([*lines, *told])


class ReasonCount(Model):
    """How many rows carry a reason, and for how many it is the primary one."""

    reason: Reason
    primary: NonNegativeInt
    rows: NonNegativeInt

    @model_validator(mode="after")
    def _conserves(self) -> Self:
        if self.primary > self.rows:
            raise ValueError(f"{self.reason.value}: primary for {self.primary} rows, but only {self.rows} carry it")
        return self


class Threshold(Model):
    """One end of a range, as a number: a quantile is the value of a row, none in between."""

    key: str = Field(description="As the recipe has it, such as quality.min_quantile.")
    reason: Reason = Field(description="What a row that misses it carries.")
    signal: str = Field(description="What is compared.")
    end: Literal["min", "max"]
    quantile: float | None = Field(None, description="Of the valid rows' values; null where the recipe has a number.")
    value: float | None = Field(None, description="The number; null where each zoom level has its own.")
    by_zoom: dict[str, float] | None = Field(
        None, description="The number of each zoom level; `none` for rows that have no level."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.value is None) == (self.by_zoom is None):
            raise ValueError(f"{self.key}: expected value or by_zoom, one of them")
        return self

    def __str__(self) -> str:
        """Return the limit in words, as in ``img_quality_score at least 4.8 (quantile 0.4)``."""
        word = "at least" if self.end == "min" else "at most"
        numbers = f"{self.value:g}" if self.by_zoom is None else self._by_zoom_in_words()
        return f"{self.signal} {word} {numbers}" + (f" (quantile {self.quantile:g})" if self.quantile else "")

    def _by_zoom_in_words(self) -> str:
        return ", ".join(f"{limit:g} at zoom {zoom}" for zoom, limit in (self.by_zoom or {}).items())


class SelectReport(Model):
    """One subset's verdicts, counted."""

    subset: str
    rows: NonNegativeInt
    kept: NonNegativeInt
    rejected: NonNegativeInt
    kept_image_bytes: NonNegativeInt = Field(description="Bytes of the kept rows' images [bytes].")
    thresholds: tuple[Threshold, ...] = Field((), description="Thresholds on scores and signals as numbers.")
    scorers: tuple[ScorerIdentity, ...] = Field((), description="The numbers of the scorers that had a say.")
    funnel: Funnel
    reasons: tuple[ReasonCount, ...] = Field(description="Reasons of rejected rows, in stage order.")
    flags: tuple[ReasonCount, ...] = Field(description="Rules that kept rows break, but that only flag.")
    splits: dict[str, NonNegativeInt] = Field(description="Kept rows of each split.")
    verdicts: Location = Field(description="The verdicts file in the workspace.")

    @model_validator(mode="after")
    def _conserves(self) -> Self:
        _equal("rows", self.rows, "kept + rejected", self.kept + self.rejected)
        _equal("rejected", self.rejected, "sum of primary reasons", sum(count.primary for count in self.reasons))
        _equal("kept", self.kept, "end of the funnel", self.funnel.kept)
        _equal("kept", self.kept, "sum of splits", sum(self.splits.values()))
        _equal("rows", self.rows, "start of the funnel", self.funnel.source_rows)
        return self

    def __str__(self) -> str:
        """Return what was kept, in words."""
        return f"kept {self.kept:,} of {self.rows:,} rows"

    def __repr__(self) -> str:
        """Return the funnel under what was kept."""
        return f"SelectReport: {self.subset}: {self}\n{self.funnel}"


class DataFile(Model):
    """One finished file of a subset."""

    path: str = Field(description="Relative to the subset's folder, with forward slashes.")
    rows: NonNegativeInt | None = Field(description="Rows in a Parquet file; null for others.")
    byte_length: NonNegativeInt = Field(description="Size of the file [bytes].")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the file, in hex.")
    image_bytes: NonNegativeInt | None = Field(None, description="Bytes of the images in a data file [bytes].")


class WriteReport(Model):
    """The data files of one subset, against what select promised."""

    subset: str
    expected_rows: NonNegativeInt
    expected_image_bytes: NonNegativeInt | None = Field(description="None where the scan read no image [bytes].")
    files: tuple[DataFile, ...]

    @model_validator(mode="after")
    def _conserves(self) -> Self:
        _equal("rows written", sum(file.rows or 0 for file in self.files), "kept rows", self.expected_rows)
        written = sum(file.image_bytes or 0 for file in self.files)
        if self.expected_image_bytes is not None:
            _equal("image bytes written", written, "kept image bytes", self.expected_image_bytes)
        return self

    def __str__(self) -> str:
        """Return what was written, in words."""
        return written_in_words(self.files)


class PublishReport(Model):
    """One published subset."""

    select: SelectReport
    write: WriteReport
    directory: Location = Field(description="Where readers find it: the latest version.")
    version: str = Field(description="The version that was published: v<number>-<key>.")
    mode: Literal["data", "index"] = Field("data", description="`index`: without data files and report.")
    reused: bool = Field(description="True when the published subset was already this one, and was left as it is.")

    @property
    def manifest(self) -> Location:
        """The subset's manifest."""
        return self.directory / "manifest.json"

    @property
    def report(self) -> Location | None:
        """The subset's report page; None in mode ``index``, which shows no picture."""
        return self.directory / "report.html" if self.mode == "data" else None

    @property
    def number(self) -> str:
        """The version without its key, as in ``v2``."""
        return self.version.partition("-")[0]

    def __str__(self) -> str:
        """Return what is where, in words."""
        unchanged = ", unchanged" if self.reused else ""
        return f"{self.select.subset}: {self.select}, {self.number}{unchanged} in {self.directory}"

    def __repr__(self) -> str:
        """Return the funnel under what is where."""
        return f"PublishReport: {self}\n{self.select.funnel}"


class CurateReport(Model):
    """A whole run."""

    source: str
    scan: ScanReport
    deduplicate: DeduplicateReport
    subsets: tuple[PublishReport, ...]

    @property
    def news(self) -> bool:
        """False when every shard is sound and was scanned before, and every subset was published as it is."""
        scans = (self.scan, *(reference.scan for reference in self.deduplicate.references))
        looked_at = any(scan.scanned or scan.quarantined for scan in scans)
        return looked_at or not all(subset.reused for subset in self.subsets)

    def __str__(self) -> str:
        """Return what was done, in words."""
        unchanged = [subset.select.subset for subset in self.subsets if subset.reused]
        made = [f"{subset.select.subset}: {subset.select}" for subset in self.subsets if not subset.reused]
        told = [str(self.scan), *made, *([f"unchanged: {', '.join(unchanged)}"] if unchanged else [])]
        return f"{self.source}: {'; '.join(told)}"

    def __repr__(self) -> str:
        """Return a line for each subset under what was scanned and found."""
        lines = [("subset", "kept", "kept %", "images", "version", "folder")]
        for one in self.subsets:
            told, kept = one.select, f"{one.select.kept:,}"
            share, images = told.funnel.share(told.kept), decimal(told.kept_image_bytes)
            lines.append((told.subset, kept, share, images, one.number, str(one.directory)))
        return f"CurateReport: {self.source}: {self.scan}; {self.deduplicate}\n{_aligned(lines)}"


class VerifyReport(Model):
    """What was found wrong with a published subset."""

    directory: Location
    files: NonNegativeInt = Field(description="Files that the subset should hold.")
    rows: NonNegativeInt = Field(description="Rows that the subset should hold.")
    problems: tuple[str, ...] = Field(description="Each names the file, and the row where there is one.")

    @property
    def sound(self) -> bool:
        """True when nothing is wrong."""
        return not self.problems

    def __str__(self) -> str:
        """Return what was found, in words: of many problems the first few."""
        if self.sound:
            return f"{self.directory}: sound: {self.files} files, {self.rows:,} rows kept"
        shown = "".join(f"\n  {problem}" for problem in self.problems[:5])
        return f"{self.directory}: not sound: {len(self.problems)} problem(s), among them:{shown}"


def written_in_words(files: Sequence[DataFile]) -> str:
    """Return what the data files hold, in words."""
    rows, image_bytes = sum(file.rows or 0 for file in files), sum(file.image_bytes or 0 for file in files)
    return f"wrote {rows:,} rows, {decimal(image_bytes)} of images, {len(files):,} file{'s' * (len(files) != 1)}"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return ``lines`` as a table: names and places to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = {0, *(at for at, name in enumerate(lines[0]) if name in ("version", "folder"))}
    told = (
        "  ".join(text.ljust(width) if at in left else text.rjust(width) for at, (text, width) in enumerate(row))
        for row in (zip(line, widths, strict=True) for line in lines)
    )
    return "\n".join(line.rstrip() for line in told)


def _equal(found_name: str, found: int, expected_name: str, expected: int) -> None:
    if found != expected:
        raise ValueError(f"rows or bytes were lost: {found_name} is {found}, but {expected_name} is {expected}")
