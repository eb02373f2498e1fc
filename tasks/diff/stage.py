"""Count what differs between two subsets: rows gained and lost by reason, moved between splits, and what was set."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from schemas.difference import Change, Difference, Moved, ReasonRows, Side
from schemas.manifest import Manifest
from schemas.reasons import REASONS
from tasks.diff.verdicts import KEPT, Pairing, Sides, Verdicts


def compare(sides: Sides) -> Difference:
    """Return what differs between the two subsets."""
    one, other, pairing = sides
    lost, moved, both = _lost(sides)
    gained, _, _ = _lost(sides.turned())
    return Difference(
        a=_side(one, pairing),
        b=_side(other, pairing),
        same_manifest=one.manifest.seal == other.manifest.seal,
        both=both,
        lost=lost,
        gained=gained,
        moved=moved,
        recipe=_changes(one.manifest.recipe, other.manifest.recipe),
        thresholds=_changes(*(_thresholds(side.manifest) for side in (one, other))),
        vectors=_changes(*_vectors(one.manifest, other.manifest)) if _same_source(one, other) else (),
        versions=_changes(one.manifest.versions, other.manifest.versions),
    )


def _lost(sides: Sides) -> tuple[tuple[ReasonRows, ...], tuple[Moved, ...], int]:
    """Return the rows that A kept and B did not by reason, those in other splits, and those in both."""
    one, other, _ = sides
    kept, there, state = sides.kept()
    counts = np.bincount(state.astype(np.int64) + 2, minlength=len(REASONS) + 2).tolist()
    absent, both, reasons = counts[0], counts[1], counts[2:]
    lost = [ReasonRows(reason=reason, rows=rows) for reason, rows in zip(REASONS, reasons, strict=True) if rows]
    if absent:
        lost.append(ReasonRows(reason=None, rows=absent))
    shared = state == KEPT
    pairs = one.split[kept[shared]].astype(np.int64) * len(other.splits) + other.split[there[shared]]
    crossed = np.bincount(pairs, minlength=len(one.splits) * len(other.splits))
    moved = tuple(
        Moved(a=a, b=b, rows=int(crossed[i * len(other.splits) + j]))
        for i, a in enumerate(one.splits)
        for j, b in enumerate(other.splits)
        if a != b and crossed[i * len(other.splits) + j]
    )
    return tuple(lost), moved, both


def _side(side: Verdicts, pairing: Pairing) -> Side:
    manifest = side.manifest
    shared_rows = int(pairing.rows.sum())
    filled = sum(shard.rows > 0 for shard in manifest.source.shards)
    sizes = [file.image_bytes for file in (*manifest.files, *manifest.indexed) if file.image_bytes is not None]
    return Side(
        directory=side.place,
        subset=manifest.subset,
        source=manifest.source.name,
        revision=manifest.source.revision,
        source_rows=manifest.source.rows,
        shards=len(manifest.source.shards),
        own_shards=filled - len(pairing.rows),
        own_rows=manifest.source.rows - shared_rows,
        kept=manifest.funnel.kept,
        splits=manifest.splits,
        image_bytes=sum(sizes) if sizes else None,
    )


def _thresholds(manifest: Manifest) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for limit in manifest.thresholds:
        if limit.by_zoom is None:
            limits[limit.key] = limit.value
        else:
            limits |= {f"{limit.key} at zoom {zoom}": value for zoom, value in limit.by_zoom.items()}
    return limits


def _same_source(one: Verdicts, other: Verdicts) -> bool:
    shards = [[shard.content_xxh3 for shard in side.manifest.source.shards] for side in (one, other)]
    return shards[0] == shards[1]


def _vectors(*manifests: Manifest) -> list[dict[str, str]]:
    """Return what the scorers told that both asked."""
    told = [{scorer.name: scorer.vectors_sha256 for scorer in manifest.scorers} for manifest in manifests]
    return [{name: digest for name, digest in side.items() if all(name in other for other in told)} for side in told]


def _changes(one: Any, other: Any) -> tuple[Change, ...]:
    """Return the leaves of two JSON values that differ, by dotted key, in order of the first."""
    a, b = dict(_leaves(one, "")), dict(_leaves(other, ""))
    return tuple(Change(key=key, a=a.get(key), b=b.get(key)) for key in {**a, **b} if a.get(key) != b.get(key))


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list) and any(isinstance(member, dict | list) for member in value):
        members = [(str(number), member) for number, member in enumerate(value)]
    else:
        yield key, value
        return
    for name, member in members:
        yield from _leaves(member, f"{key}.{name}" if key else str(name))
