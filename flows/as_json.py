"""A report as JSON on a terminal."""

import json

from schemas.base import Model


def as_json(report: Model) -> str:
    r"""Return ``report`` as JSON in printable ASCII: names in a source may hold what could command a terminal."""
    return json.dumps(report.model_dump(mode="json"), indent=2, allow_nan=False).replace("\x7f", "\\u007f")
