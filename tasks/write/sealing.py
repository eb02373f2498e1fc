"""The end of every subset: its texts, the record of each, and the manifest, which is written last."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from upath import UPath

from schemas.manifest import Manifest
from schemas.reports import DataFile
from tasks.files import sha256_of, write_bytes, write_text
from tasks.published import MANIFEST, RUN


def seal(
    folder: UPath,
    draft: Manifest,
    files: Sequence[DataFile],
    others: Mapping[str, str | bytes],
    run: dict[str, Any] | None = None,
) -> Manifest:
    """Write ``others`` and then the manifest of all files to ``folder``: only now it is a subset.

    Args:
        folder: of the subset.
        draft: its manifest, without files and without seal.
        files: records of what is in the folder already.
        others: texts and images by path, in the order in which the manifest lists them.
        run: when and how it was made, for ``run.json``, of which the manifest knows nothing; None: no such file.

    Returns:
        The manifest, sealed.
    """
    for name, content in others.items():
        write_bytes(folder / name, content.encode() if isinstance(content, str) else content)
    if run is not None:
        write_text(folder / RUN, json.dumps(run, indent=2, sort_keys=True) + "\n")
    records = [_describe(folder, name) for name in others]
    manifest = draft.model_copy(update={"files": (*files, *records)}).sealed()
    write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    return manifest


def _describe(folder: UPath, name: str) -> DataFile:
    path = folder / name
    return DataFile(path=name, rows=None, byte_length=path.stat().st_size, sha256=sha256_of(path))
