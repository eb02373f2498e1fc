"""What a licence lets one do with the pictures of a source, and the terms of Git-10M."""

import re

GIT10M = "lcybuaa/Git-10M"
"""Id of Git-10M on the Hub."""

GIT10M_TERMS = {
    "licence": "CC-BY-NC-ND-4.0",
    "terms": "Not to be modified or distributed without authorization.",
    "citation": (
        "Liu, Chen, Zhao, Zou, Shi: Text2Earth: Unlocking text-driven remote sensing image generation with a "
        "global-scale dataset and a foundation model. IEEE Geoscience and Remote Sensing Magazine, 2025. "
        "doi:10.1109/MGRS.2025.3560455"
    ),
}
"""What Git-10M's card says (read 2025)."""

_REDISTRIBUTABLE = re.compile(
    r"CC0-1\.0|CC-BY(-NC)?(-SA)?-[1-4]\.[05]|CC-PDDC|PDDL-1\.0|ODbL-1\.0|ODC-By-1\.0|CDLA-(Permissive|Sharing)-[12]\.0"
    r"|C-UDA-1\.0|DL-DE-(BY|ZERO)-2\.0|etalab-2\.0|OGL-(UK|Canada)-[1-3]\.0|MIT|Apache-2\.0|BSD-[23]-Clause|Unlicense",
    re.IGNORECASE,
)
"""SPDX identifiers of licences under which a part of a data set may be passed on as it is."""


def is_git10m(name: str, path: str) -> bool:
    """Return whether a source is Git-10M, by its Hub id or by the name that the recipe gives it.

    >>> is_git10m("lcybuaa/Git-10M", "/data/copy"), is_git10m("mine", "hf://datasets/lcybuaa/Git-10M@main")
    (True, True)
    >>> is_git10m("not-git-10m", "/data")
    False
    """
    known = re.compile(rf"(.*/)?{re.escape(GIT10M.split('/')[1])}", re.IGNORECASE)
    return bool(known.fullmatch(name)) or re.search(rf"(^|/){re.escape(GIT10M)}(@|/|$)", path) is not None


def redistributable(licence: str | None) -> bool:
    """Return whether ``licence``, an SPDX identifier, lets one pass on pictures and captions; one not known does not.

    >>> redistributable("CC-BY-4.0"), redistributable("CC-BY-NC-ND-4.0"), redistributable(None)
    (True, False, False)
    """
    return licence is not None and _REDISTRIBUTABLE.fullmatch(licence) is not None
