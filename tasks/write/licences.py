"""What the Hub and SPDX call a licence."""

import re

_HUB_BY_SPDX = {
    "AFL-3.0": "afl-3.0",
    "AGPL-3.0": "agpl-3.0",
    "AGPL-3.0-only": "agpl-3.0",
    "AGPL-3.0-or-later": "agpl-3.0",
    "Apache-2.0": "apache-2.0",
    "Artistic-2.0": "artistic-2.0",
    "BSD-2-Clause": "bsd-2-clause",
    "BSD-3-Clause": "bsd-3-clause",
    "BSD-3-Clause-Clear": "bsd-3-clause-clear",
    "BSL-1.0": "bsl-1.0",
    "C-UDA-1.0": "c-uda",
    "CC-BY-2.0": "cc-by-2.0",
    "CC-BY-2.5": "cc-by-2.5",
    "CC-BY-3.0": "cc-by-3.0",
    "CC-BY-4.0": "cc-by-4.0",
    "CC-BY-NC-2.0": "cc-by-nc-2.0",
    "CC-BY-NC-3.0": "cc-by-nc-3.0",
    "CC-BY-NC-4.0": "cc-by-nc-4.0",
    "CC-BY-NC-ND-3.0": "cc-by-nc-nd-3.0",
    "CC-BY-NC-ND-4.0": "cc-by-nc-nd-4.0",
    "CC-BY-NC-SA-2.0": "cc-by-nc-sa-2.0",
    "CC-BY-NC-SA-3.0": "cc-by-nc-sa-3.0",
    "CC-BY-NC-SA-4.0": "cc-by-nc-sa-4.0",
    "CC-BY-ND-4.0": "cc-by-nd-4.0",
    "CC-BY-SA-3.0": "cc-by-sa-3.0",
    "CC-BY-SA-4.0": "cc-by-sa-4.0",
    "CC0-1.0": "cc0-1.0",
    "CDLA-Permissive-1.0": "cdla-permissive-1.0",
    "CDLA-Permissive-2.0": "cdla-permissive-2.0",
    "CDLA-Sharing-1.0": "cdla-sharing-1.0",
    "ECL-2.0": "ecl-2.0",
    "EPL-1.0": "epl-1.0",
    "EPL-2.0": "epl-2.0",
    "EUPL-1.1": "eupl-1.1",
    "EUPL-1.2": "eupl-1.2",
    "GPL-2.0-only": "gpl-2.0",
    "GPL-2.0-or-later": "gpl-2.0",
    "GPL-3.0-only": "gpl-3.0",
    "GPL-3.0-or-later": "gpl-3.0",
    "ISC": "isc",
    "LGPL-2.1-only": "lgpl-2.1",
    "LGPL-3.0-only": "lgpl-3.0",
    "MIT": "mit",
    "MPL-2.0": "mpl-2.0",
    "MS-PL": "ms-pl",
    "NCSA": "ncsa",
    "ODbL-1.0": "odbl",
    "ODC-By-1.0": "odc-by",
    "OFL-1.1": "ofl-1.1",
    "OSL-3.0": "osl-3.0",
    "PDDL-1.0": "pddl",
    "PostgreSQL": "postgresql",
    "Unlicense": "unlicense",
    "WTFPL": "wtfpl",
    "Zlib": "zlib",
    "etalab-2.0": "etalab-2.0",
}
"""Ids that the Hub's cards may have, by SPDX identifier."""

_SPDX = {name.lower(): name for name in _HUB_BY_SPDX}


def hub_licence(licence: str | None) -> dict[str, str]:
    """Return a card's ``license``, and ``license_name`` where the Hub has no id for it.

    >>> hub_licence("CC-BY-NC-ND-4.0"), hub_licence(None)
    ({'license': 'cc-by-nc-nd-4.0'}, {'license': 'unknown'})
    >>> hub_licence("My Own licence, v1")
    {'license': 'other', 'license_name': 'my-own-licence-v1'}
    """
    if licence is None:
        return {"license": "unknown"}
    if (spdx := _SPDX.get(licence.lower())) is not None:
        return {"license": _HUB_BY_SPDX[spdx]}
    name = re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-.")
    return {"license": "other"} | ({"license_name": name} if name else {})


def licence_url(licence: str | None) -> str | None:
    """Return SPDX's page on a licence; None for one that is not known here.

    >>> licence_url("cc-by-4.0"), licence_url("my own")
    ('https://spdx.org/licenses/CC-BY-4.0.html', None)
    """
    spdx = _SPDX.get((licence or "").lower())
    return f"https://spdx.org/licenses/{spdx}.html" if spdx else None
