"""What a report says beside each picture: a measured value, what it is a copy of, its score."""

from typing import Any

from schemas.reasons import Reason, Stage
from schemas.tables import SCORES

Facts = dict[str, Any]
"""A row's :data:`NOTED_SIGNALS` and :data:`NOTED_VERDICTS`, by name."""

NOTED_VERDICTS = ["duplicate_distance", "duplicate_similarity", "reference", "reference_distance", *SCORES.names]
"""The columns of verdicts that notes are made of."""

NOTED_SIGNALS = sorted(
    {"img_name", "detail", "luma_std", "z", "x", "y", *(reason.measured for reason in Reason if reason.measured)}
    - {*NOTED_VERDICTS}
)
"""The columns of signals that notes are made of."""

_UNITS = {"resolution_m": " m/pixel", "ground_resolution_m": " m/pixel", "caption_words": " words", "width": " pixels"}
_BITS = 64


def score_note(facts: Facts) -> str:
    """Return the row's score.

    >>> score_note({"img_quality_score": 4.75})
    'score 4.75'
    """
    score = facts["img_quality_score"]
    return "no score" if score is None else f"score {score:g}"


def rejected_note(reason: Reason, facts: Facts) -> str:
    """Return why the row was rejected for ``reason``, which names no kept row: what was measured, found or copied."""
    if reason is Reason.CONTAMINATED:
        return f"{_bits(facts['reference_distance'])} from {facts['reference']}"
    if reason.stage is Stage.VALIDATION and facts["detail"]:
        return str(facts["detail"])
    value = facts.get(reason.measured) if reason.measured else None
    return "" if value is None else f"{reason.measured}: {value:g}{_UNITS.get(str(reason.measured), '')}"


def changed_note(rejected: Facts | None) -> str:
    """Return why a row is not in a subset, from its row of ``rejected.parquet``; None: the source does not have it.

    >>> changed_note({"reasons": ["caption_too_short"], "measured": [7.0], "detail": None, "duplicate_distance": None})
    'caption_words: 7 words'
    """
    if rejected is None:
        return ""
    reason, value = Reason(rejected["reasons"][0]), rejected["measured"][0]
    if reason is Reason.CONTAMINATED:
        return rejected_note(reason, {**rejected, "reference_distance": int(value)})
    alike = reason is Reason.DUPLICATE_SEMANTIC or rejected["duplicate_distance"] is not None
    if alike and reason.stage is Stage.DEDUPLICATION:
        return _likeness(reason, rejected)
    return rejected_note(reason, {**rejected, str(reason.measured): value})


def keeper_note(reason: Reason, facts: Facts) -> str:
    """Return what is to know of the kept row of a group: its score, and its tile where that is what was compared."""
    tile = f", tile {_tile(facts)}" if reason in (Reason.DUPLICATE_TILE, Reason.NESTED_TILE) else ""
    return score_note(facts) + tile


def member_note(reason: Reason, facts: Facts, keeper: Facts) -> str:
    """Return in what the row is like the kept one, ``keeper``.

    >>> near = {"duplicate_distance": 4, "duplicate_similarity": 0.97}
    >>> member_note(Reason.DUPLICATE_NEAR, near, {})
    '4 of 64 bits, similarity 0.97'
    """
    match reason:
        case Reason.DUPLICATE_BYTES:
            return "equal bytes"
        case Reason.DUPLICATE_PIXELS:
            return "equal pixels"
        case Reason.DUPLICATE_TILE:
            return "same tile"
        case Reason.NESTED_TILE:
            return f"tile {_tile(facts)}, {'inside' if facts['z'] > keeper['z'] else 'around'} the kept one"
        case Reason.DUPLICATE_CAPTION:
            return "same caption"
    return _likeness(reason, facts)


def _likeness(reason: Reason, facts: Facts) -> str:
    similarity = facts["duplicate_similarity"]
    if reason is Reason.DUPLICATE_SEMANTIC:
        return f"cosine {similarity:.3f}"
    return _bits(facts["duplicate_distance"]) + ("" if similarity is None else f", similarity {similarity:.2f}")


def _bits(distance: int) -> str:
    return f"{distance} of {_BITS} bits"


def _tile(facts: Facts) -> str:
    return f"{facts['z']}_{facts['x']}_{facts['y']}"
