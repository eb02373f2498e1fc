"""The thresholds that can be moved while one looks: what they are held against, and how a subset says them."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from schemas.reasons import Stage
from schemas.reports import Threshold
from schemas.subset import Subset
from schemas.thresholds import Limits, QualityThreshold, SignalRanges


class Control(NamedTuple):
    """One threshold that can be moved."""

    key: str  # in a subset: `quality`, `signals.sharpness`
    label: str
    signal: str
    stage: Stage
    low_only: bool = False  # there is no upper end


CONTROLS = (
    Control("quality", "quality score", "img_quality_score", Stage.QUALITY, low_only=True),
    Control("caption_words", "words in the caption", "caption_words", Stage.CAPTION),
    Control("zoom", "zoom level", "z", Stage.PLACE),
    Control("resolution_m", "declared resolution [m/pixel]", "resolution_m", Stage.PLACE),
    Control("ground_resolution_m", "ground resolution [m/pixel]", "ground_resolution_m", Stage.PLACE),
    *(
        Control(f"signals.{name}", name.replace("_", " "), name, Stage.PICTURE)
        for name in SignalRanges.model_fields
    ),
    Control("similarity", "similarity of picture and caption", "similarity", Stage.ALIGNMENT),
    Control("prompt_margin", "margin of remote-sensing prompts", "prompt_margin", Stage.ALIGNMENT),
)  # fmt: skip
"""All of them, in the order in which they reject."""

WHOLE = frozenset({"caption_words", "z", "byte_length", "width", "height"})
"""Signals whose values are whole numbers."""


def limits_of(subset: Subset, thresholds: tuple[Threshold, ...]) -> dict[str, Limits]:
    """Return the limits of every control that can be moved, by key, quantiles as the numbers they stand for.

    Args:
        subset: whose thresholds.
        thresholds: those on scores and signals as numbers (:func:`tasks.select.thresholds.resolve_thresholds`).
    """
    numbers = {(limit.signal, limit.end): limit.value for limit in thresholds}
    found = {}
    for control in CONTROLS:
        limits = _limits(subset, control)
        if getattr(limits, "per_zoom", False) or getattr(limits, "action", "reject") != "reject":
            continue
        low, high = (numbers.get((control.signal, end), getattr(limits, end, None)) for end in ("min", "max"))
        found[control.key] = Limits(low, high)
    return found


def without(subset: Subset, keys: Mapping[str, Limits]) -> Subset:
    """Return ``subset`` with the thresholds ``keys`` open."""
    return with_limits(subset, dict.fromkeys(keys, Limits()))


def with_limits(subset: Subset, limits: Mapping[str, Limits]) -> Subset:
    """Return ``subset`` with other limits, by key."""
    told = subset.model_dump()
    for control in CONTROLS:
        if control.key not in limits:
            continue
        low, high = limits[control.key]
        at = told
        *outer, name = control.key.split(".")
        for key in outer:
            at = at[key]
        if control.low_only:
            at[name] = QualityThreshold(min_score=low).model_dump()
        else:
            at[name] |= {"min": _whole(control, low), "max": _whole(control, high)}
            at[name] |= {quantile: None for quantile in ("min_quantile", "max_quantile") if quantile in at[name]}
    return Subset.model_validate(told)


def stays(subset: Subset, limits: Mapping[str, Limits]) -> Iterator[str]:
    """Yield the keys of ``subset`` that hold rows to account and cannot be moved."""
    told = subset.model_dump(exclude_defaults=True)
    yield from (key for key in ("bbox", "area", "include", "exclude") if key in told)
    for control in CONTROLS:
        if control.key not in limits and _limits(subset, control).model_dump(exclude_defaults=True):
            yield control.key


def _limits(subset: Subset, control: Control) -> Any:
    limits: Any = subset
    for name in control.key.split("."):
        limits = getattr(limits, name)
    return limits


def _whole(control: Control, limit: float | None) -> float | int | None:
    return limit if limit is None or control.signal not in WHOLE else int(limit)
