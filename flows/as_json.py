"""A report as JSON on a terminal."""

import json
from collections.abc import Sequence

from schemas.base import Model


def as_json(report: Model | Sequence[Model]) -> str:
    r"""Return ``report`` as JSON in printable ASCII: names in a source may hold what could command a terminal."""
    told = (
        report.model_dump(mode="json") if isinstance(report, Model) else [one.model_dump(mode="json") for one in report]
    )
    return json.dumps(told, indent=2, allow_nan=False).replace("\x7f", "\\u007f")
