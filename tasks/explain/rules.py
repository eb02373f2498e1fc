"""Every rule that a row met, and what it said: computed by what selects, or as it was published."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import pyarrow as pa

from schemas.explanation import Outcome, RuleOutcome, Value
from schemas.manifest import Manifest
from schemas.reasons import REASONS, Reason, Stage
from schemas.recipe import Deduplication, ScanSettings, Validation
from schemas.reports import Threshold
from schemas.subset import SCORED, Subset
from schemas.tables import SCORES, SIGNALS
from schemas.thresholds import Action
from tasks.explain.limits import box_in_words, held_against, range_in_words, validation_limit
from tasks.select.rules import rules_off, validate
from tasks.select.thresholds import apply_thresholds

_ELSEWHERE = "elsewhere"  # stands for the path of a file, which is not in a manifest
_SAME_PICTURE = (
    Reason.DUPLICATE_BYTES,
    Reason.DUPLICATE_PIXELS,
    Reason.DUPLICATE_NEAR,
    Reason.DUPLICATE_SEMANTIC,
)
_FROM_ANOTHER = ("duplicate_distance", "duplicate_similarity", "reference_distance")  # measured from another picture
_PLAIN = Subset(name="plain")  # without any threshold of its own


class Settings(NamedTuple):
    """What of the recipe decides on one row."""

    scan: ScanSettings
    validation: Validation
    deduplication: Deduplication  # its reference sets left out: the manifest names them
    subset: Subset

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Return the settings that ``manifest`` records."""
        recipe = manifest.recipe
        [subset] = recipe["subsets"]
        files = {key: subset[key] | {"path": _ELSEWHERE} for key in ("area", "include", "exclude") if subset.get(key)}
        return cls(
            ScanSettings.model_validate(recipe["scan"]),
            Validation.model_validate(recipe["validation"]),
            Deduplication.model_validate(recipe["deduplication"] | {"references": []}),
            Subset.model_validate(subset | files),
        )


class Published(NamedTuple):
    """What index or rejected say of one row."""

    kept: bool
    reasons: tuple[Reason, ...]  # of a rejected row
    measured: dict[Reason, float | None]  # beside each of them
    scores: dict[str, float | None]  # by name in SCORES, as far as they are told
    flags: tuple[Reason, ...]  # of a kept row
    zoom: int | None
    reference_distance: float | None

    @classmethod
    def of(cls, kept: bool, row: dict[str, Any]) -> Self:
        """Return what a row of :data:`schemas.tables.INDEX` or :data:`schemas.tables.REJECTED` says."""
        reasons = tuple(map(Reason, () if kept else row["reasons"]))
        measured = dict(zip(reasons, () if kept else row["measured"], strict=True))
        flags = tuple(map(Reason, row["flags"] if kept else ()))
        scores = {reason.measured: value for reason, value in measured.items() if reason.measured in SCORES.names}
        scores |= {name: row[name] for name in SCORES.names if kept}
        return cls(kept, reasons, measured, scores, flags, row["z"], measured.get(Reason.CONTAMINATED))


class Rules(NamedTuple):
    """The rules that one row met, and which of them it breaks."""

    outcomes: tuple[RuleOutcome, ...]
    rejecting: frozenset[Reason]
    flagging: frozenset[Reason]


def rules_met(
    manifest: Manifest, published: Published, signals: pa.Table | None, *, absent: tuple[str, ...], repeated: bool
) -> Rules:
    """Return what every rule of the recipe said of a row.

    Rules that look at the row alone are held against its signals by the very functions that selected; rules that look
    at other rows, and all rules where there are no signals, are told as they were published.

    Args:
        manifest: of the subset.
        published: of the row.
        signals: one row of :data:`schemas.tables.SIGNALS`, or None.
        absent: facts that the row's shard has no column for, though others have.
        repeated: an earlier row of the source has the same ``img_name``.
    """
    settings = Settings.of(manifest)
    judged = _judge(settings, manifest, published, signals, repeated)
    off = {*manifest.rules_off, *rules_off(absent, images=True)}
    row = _Row(settings, manifest, published, signals, judged, off)
    outcomes = sorted(row.outcomes(), key=lambda outcome: REASONS.index(outcome.rule))
    return Rules(tuple(outcomes), judged.rejecting, judged.flagging)


class _Judged(NamedTuple):
    rejecting: frozenset[Reason]
    flagging: frozenset[Reason]
    complete: bool  # the flags are those of all rules


def _judge(
    settings: Settings, manifest: Manifest, published: Published, signals: pa.Table | None, repeated: bool
) -> _Judged:
    flagging = set(published.flags)
    if settings.validation.rules.img_name_repeated == "flag" and repeated:
        flagging.add(Reason.IMG_NAME_REPEATED)
    if signals is None:
        return _Judged(frozenset(published.reasons), frozenset(flagging), published.kept)
    valid = validate(signals, settings.validation)
    missed = apply_thresholds(signals, settings.subset, [limit for limit in _limits(manifest) if not _scored(limit)])
    own = {reason for reason in REASONS if _alone(reason)}
    reject, flag = (_reasons(one | other) for one, other in zip(valid, missed, strict=True))
    return _Judged(
        frozenset(reject | set(published.reasons) - own),
        frozenset(flag | (flagging - own)),
        True,
    )


def _alone(reason: Reason) -> bool:
    """Return whether the rule looks at nothing but one row's signals and the recipe."""
    others = {Reason.IMG_NAME_REPEATED, Reason.AREA_OUTSIDE}
    apart = {Stage.DEDUPLICATION, Stage.ALIGNMENT, Stage.LISTS, Stage.SPLITS, Stage.SAMPLING}
    return reason not in others and reason.stage not in apart


def _reasons(mask: Any) -> set[Reason]:
    return {reason for reason in REASONS if int(mask[0]) & reason.bit}


def _limits(manifest: Manifest) -> list[Threshold]:
    """Return the thresholds on scores and signals, without what the top turned out to be."""
    return [limit for limit in manifest.thresholds if limit.reason is not Reason.TOP_MISSED]


def _scored(limit: Threshold) -> bool:
    return limit.signal in SCORES.names


class _Row(NamedTuple):
    settings: Settings
    manifest: Manifest
    published: Published
    signals: pa.Table | None
    judged: _Judged
    off: set[Reason]

    def outcomes(self) -> Iterator[RuleOutcome]:
        yield from self._validation()
        yield from self._duplicates()
        yield from self._thresholds()
        yield from self._ranges()
        yield from self._lists_and_splits()
        yield from self._sampling()

    def _validation(self) -> Iterator[RuleOutcome]:
        scan, validation = self.settings.scan, self.settings.validation
        for rule in REASONS:
            if rule.stage is not Stage.VALIDATION:
                continue
            limit = validation_limit(rule, scan, validation)
            action: Action = getattr(validation.rules, rule.value) if limit is not None else "ignore"
            told = limit or "no limit in the recipe"
            yield self._outcome(rule, f"validation.rules.{rule.value}", told, self._said(rule, action))

    def _said(self, rule: Reason, action: Action = "reject") -> Outcome:
        if rule in self.judged.rejecting:
            return Outcome.REJECTED
        if rule in self.judged.flagging:
            return Outcome.FLAGGED
        if action == "ignore":
            return Outcome.IGNORED
        if rule in self.off:
            return Outcome.OFF
        needed = held_against(rule).needed
        if self.signals is not None and any(self.signals[name].null_count for name in needed):
            return Outcome.NO_VALUE
        if action == "flag" and not self.judged.complete and rule is not Reason.IMG_NAME_REPEATED:
            return Outcome.UNKNOWN
        return Outcome.PASSED

    def _duplicates(self) -> Iterator[RuleOutcome]:
        found = self.settings.deduplication
        if self.manifest.references:
            names = ", ".join(reference.name for reference in self.manifest.references)
            told = f"no copy of a picture of {names}"
            yield self._outcome(Reason.CONTAMINATED, "deduplication.references", told, self._said(Reason.CONTAMINATED))
        told_already = False
        for rule, (key, told_limit) in _ways(found).items():
            if told_limit:
                said = self._said(rule)
                if rule in _SAME_PICTURE and told_already:
                    said = Outcome.NOT_REACHED  # of a picture that is the same in several ways, one is told
                told_already |= said is Outcome.REJECTED
                yield self._outcome(rule, f"deduplication.{key}", told_limit, said)

    def _thresholds(self) -> Iterator[RuleOutcome]:
        """Yield each end of a range on scores and signals: two of them share a reason."""
        for limit in _limits(self.manifest):
            row = self.signals if self.signals is not None and not _scored(limit) else self._as_measured(limit)
            missed = limit.reason in self.judged.rejecting and apply_thresholds(row, _PLAIN, [limit]).reject[0]
            said = Outcome.REJECTED if missed else Outcome.PASSED
            yield self._outcome(limit.reason, f"subsets.0.{limit.key}", self._in_words(limit), said)

    def _in_words(self, limit: Threshold) -> str:
        """Return the threshold in words, of those for each zoom level this row's; of a score by whom it is told."""
        told = str(limit)
        if limit.by_zoom is not None:
            level = "none" if self.published.zoom is None else str(self.published.zoom)
            if level not in limit.by_zoom:
                return f"{limit.signal}: no value of a valid row at zoom {level}"
            told = str(limit.model_copy(update={"by_zoom": {level: limit.by_zoom[level]}}))
        return told + self._by_whom(limit.signal)

    def _by_whom(self, signal: str) -> str:
        """Return which scorers tell ``signal``; nothing of a signal that was measured."""
        asked = dict(self.settings.subset.scored()).get(signal) if signal in SCORED else None
        if asked is None:
            return ""
        names = [scorer["name"] for scorer in self.manifest.recipe["scorers"] if not asked or scorer["name"] in asked]
        return f", by {names[0]}" if len(names) == 1 else f", the mean standard score of {' and '.join(names)}"

    def _as_measured(self, limit: Threshold) -> pa.Table:
        """Return a row of signals with no more in it than was published."""
        known = {limit.signal: self.published.measured.get(limit.reason), "z": self.published.zoom}
        fields = [field for field in (*SIGNALS, *SCORES) if _plain(field.type)]
        return pa.table({field.name: pa.array([known.get(field.name)]).cast(field.type) for field in fields})

    def _ranges(self) -> Iterator[RuleOutcome]:
        subset = self.settings.subset
        words = subset.caption_words
        for rule, end, value in (
            (Reason.CAPTION_TOO_SHORT, "min", words.min),
            (Reason.CAPTION_TOO_LONG, "max", words.max),
        ):
            if value is not None:
                told = f"{'at least' if end == 'min' else 'at most'} {value:,} words"
                yield self._outcome(rule, f"subsets.0.caption_words.{end}", told, self._said(rule, words.action))
        for rule, key, limits in (
            (Reason.ZOOM_OUTSIDE, "zoom", subset.zoom),
            (Reason.RESOLUTION_OUTSIDE, "resolution_m", subset.resolution_m),
            (Reason.GROUND_RESOLUTION_OUTSIDE, "ground_resolution_m", subset.ground_resolution_m),
        ):
            if told_range := range_in_words(limits):
                yield self._outcome(rule, f"subsets.0.{key}", told_range, self._said(rule))
        if subset.bbox is not None:
            rule = Reason.BBOX_OUTSIDE
            yield self._outcome(rule, "subsets.0.bbox", box_in_words(subset.bbox), self._said(rule))

    def _lists_and_splits(self) -> Iterator[RuleOutcome]:
        subset, spatial = self.settings.subset, self.settings.subset.splits.spatial
        for rule, key, told, file in (
            (Reason.AREA_OUTSIDE, "area", "within the polygons of the file", subset.area),
            (Reason.NOT_INCLUDED, "include", "named by the file", subset.include),
            (Reason.EXCLUDED, "exclude", "not named by the file", subset.exclude),
        ):
            if file is not None:
                which = f" of SHA-256 {file.sha256[:12]}…" if file.sha256 else ""
                yield self._outcome(rule, f"subsets.0.{key}", told + which, self._said(rule))
        if spatial is not None:
            told = f"a tile within one block of zoom {spatial.zoom}, and all kept copies in one split"
            rule = Reason.SPLIT_STRADDLED
            yield self._outcome(rule, "subsets.0.splits.spatial.zoom", told, self._said(rule))
        if spatial is not None and spatial.buffer is not None:
            depth = f"{spatial.buffer.tiles:,} tile{'s' if spatial.buffer.tiles > 1 else ''}"
            told = f"further than {depth} of zoom {spatial.buffer.zoom} from another split's ground"
            rule = Reason.SPLIT_BORDER
            yield self._outcome(rule, "subsets.0.splits.spatial.buffer", told, self._said(rule))

    def _sampling(self) -> Iterator[RuleOutcome]:
        top, sampling = self.settings.subset.top, self.settings.subset.sampling
        drawn = sampling.model_dump(include={"per_tile", "per_zoom", "fraction"}, exclude_none=True)
        sizes = sampling.model_dump(include={"max_rows", "max_bytes"}, exclude_none=True)
        decided = not self.published.kept and all(r.stage is not Stage.SAMPLING for r in self.published.reasons)
        for rule, key, told in (
            (Reason.TOP_MISSED, "top", top and self._top_in_words()),
            (Reason.NOT_DRAWN, "sampling", _settings_in_words(drawn)),
            (Reason.OVER_SIZE, "sampling", _settings_in_words(sizes)),
        ):
            if told:
                said = Outcome.NOT_REACHED if decided else self._said(rule)
                decided |= said is Outcome.REJECTED
                yield self._outcome(rule, f"subsets.0.{key}", told, said)

    def _top_in_words(self) -> str:
        top = self.settings.subset.top
        assert top is not None
        part = f"{top.rows:,} rows" if top.fraction is None else f"{100 * top.fraction:g} %"
        told = f"the {'lowest' if top.lowest else 'highest'} {part} by {top.signal}"
        found = [limit for limit in self.manifest.thresholds if limit.reason is Reason.TOP_MISSED]
        return f"{told}: {self._in_words(found[0])}" if found else told

    def _outcome(self, rule: Reason, key: str, limit: str, outcome: Outcome) -> RuleOutcome:
        return RuleOutcome(
            rule=rule, stage=rule.stage, key=key, measured=self._measured(rule), limit=limit, outcome=outcome
        )

    def _measured(self, rule: Reason) -> Value:
        """Return what was compared: of the signals where they are there, else as it was published."""
        shown = held_against(rule).shown
        if not shown and rule.measured in (*SIGNALS.names, *SCORES.names):
            shown = (str(rule.measured),)
        if rule is Reason.TOP_MISSED and self.settings.subset.top is not None:
            shown = (self.settings.subset.top.signal,)
        if shown and shown[0] in SCORES.names:
            return plain_value(self.published.scores.get(shown[0], self.published.measured.get(rule)))
        if rule.measured in _FROM_ANOTHER and rule in self.judged.rejecting:
            return plain_value(self.published.measured.get(rule))
        if self.signals is None:
            return plain_value(self.published.measured.get(rule))
        values = [self.signals[name][0].as_py() for name in shown]
        if rule.stage is Stage.DEDUPLICATION and rule.measured != "caption_words" and shown != ("z", "x", "y"):
            return None  # a digest says nothing to a person
        if len(values) < 2:
            return plain_value(values[0]) if values else None
        if all(value is None for value in values):
            return None
        joint = {"width": " x ", "z": "/", "longitude": ", "}.get(shown[0], ", ")
        return joint.join(_in_short(plain_value(value)) for value in values)


def _in_short(value: Value) -> str:
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _ways(settings: Deduplication) -> dict[Reason, tuple[str, str | None]]:
    """Return the key of each way in which rows are duplicates, and what is expected; None where it is off."""
    near, semantic, copies = settings.near, settings.semantic, settings.caption_copies
    bits = near and f"{near.radius_bits} bits and similar by {near.min_similarity:g}"
    alike = None if semantic is None else f"no kept row of a cosine of {semantic.min_cosine:g} or more"
    nested = "no kept row of a tile in it or around it" if settings.nested_tiles else None
    captions = f"at most {copies:,} kept row{'s' if copies > 1 else ''} of the caption" if copies else None
    return {
        Reason.DUPLICATE_BYTES: ("exact_bytes", "no kept row of equal bytes" if settings.exact_bytes else None),
        Reason.DUPLICATE_PIXELS: ("exact_pixels", "no kept row of equal pixels" if settings.exact_pixels else None),
        Reason.DUPLICATE_NEAR: ("near", f"no kept row within {bits}" if bits else None),
        Reason.DUPLICATE_SEMANTIC: ("semantic", alike),
        Reason.DUPLICATE_TILE: ("same_tile", "no kept row of the tile" if settings.same_tile else None),
        Reason.NESTED_TILE: ("nested_tiles", nested),
        Reason.DUPLICATE_CAPTION: ("caption_copies", captions),
    }


def _plain(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def plain_value(value: Any) -> Value:
    """Return ``value`` as JSON can hold it."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, int | float | str) else str(value)


def _settings_in_words(settings: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} {value['rows']:,} at zoom {value['zoom']}" if isinstance(value, dict) else f"{key} {value:,}"
        for key, value in settings.items()
    )
