"""The subset's ``README.md``: a data set card as the Hub reads it."""

import io
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

import jinja2
import pyarrow as pa
from ruamel.yaml import YAML

from schemas.licence import redistributable
from schemas.manifest import Manifest
from schemas.recipe import Deduplication, ScanSettings, Validation, fingerprint
from schemas.reports import DataFile
from schemas.subset import Subset
from schemas.tables import INDEX
from tasks.write.licences import hub_licence
from tasks.write.markdown import block, code, inline
from tasks.write.schema import DataSchema

_CARD = """\
---
{{ header }}---

# {{ m.subset | inline }}

{% if indexed -%}
The index of a curated subset of **{{ m.source.name | inline }}**: which {{ m.funnel.kept | number }} of its \
{{ m.funnel.source_rows | number }} image-caption pairs. No image and no caption is here.

## How to get the pictures

Fetch {{ m.source.name | inline }} from where it is published, under its own terms, and let the data files be made \
of it:

```
git10m materialize {{ m.subset }} --source YOUR_COPY --dir OUT
```

They are then in `OUT`, byte for byte as they were chosen. The index alone:

```python
from datasets import load_dataset

index = load_dataset("path/to/{{ m.subset }}", split="index")
```
{%- else -%}
A curated subset of **{{ m.source.name | inline }}**: {{ m.funnel.kept | number }} of \
{{ m.funnel.source_rows | number }} image-caption pairs.

## How to load it

```python
from datasets import load_dataset

pairs = load_dataset("path/to/{{ m.subset }}", split="{{ shown }}")
```
{%- if tars %}

```python
import webdataset

pairs = webdataset.WebDataset("path/to/{{ m.subset }}/{{ braces }}", shardshuffle=False).decode("pil")
```

Each pair is an image, a `.json` with the other columns, and a `.txt` with the caption; their common name is the row id.
{%- else %}

```python
import polars

pairs = polars.scan_parquet("path/to/{{ m.subset }}/data/*.parquet")
```

```sql
-- DuckDB
SELECT * EXCLUDE ("{{ image }}") FROM 'path/to/{{ m.subset }}/data/*.parquet' LIMIT 10;
```
{%- endif %}
{%- endif %}

`index.parquet` has one row a pair: its row id in the source, the image's SHA-256, the split, and its place in the \
data files.
`rejected.parquet` has every other row of the source, with all reasons, the measured values and, for a duplicate, the
row that was kept in its stead. `croissant.json` describes these files to programs (`mlcroissant` reads it).

| split | pairs |
|---|---:|
{% for split, rows in m.splits.items() -%}
| {{ split | inline }} | {{ rows | number }} |
{% endfor %}
| column | type | holds |
|---|---|---|
{% for column in m.columns.columns -%}
| {{ column.name | inline }} | {{ column.dtype | inline }} | {{ facts[column.name] | inline }} |
{% endfor %}
## How it was chosen

| stage | rejected | left |
|---|---:|---:|
| source | | {{ m.funnel.source_rows | number }} |
{% for step in m.funnel.told -%}
| {{ step.stage.value }} | {{ step.rejected | number }} | {{ step.left | number }} |
{% endfor %}
{% if m.thresholds -%}
Thresholds as numbers:

{% for threshold in m.thresholds -%}
- {{ threshold | string | inline }}
{% endfor %}
{% endif -%}
{% if chosen -%}
What the recipe says beside the defaults:

{{ chosen }}

{% endif -%}
| reason | primary | rows | meaning |
|---|---:|---:|---|
{% for count in m.reasons -%}
| `{{ count.reason.value }}` | {{ count.primary | number }} | {{ count.rows | number }} | {{ count.reason.meaning }} |
{% endfor %}
A row carries every reason that applies; the first in the order of stages is its primary one.

{% if m.flags -%}
Kept, but flagged: {% for count in m.flags %}`{{ count.reason.value }}` {{ count.rows | number }}\
{{ ", " if not loop.last }}{% endfor %}.

{% endif -%}
{% for path, alt in figures -%}
![{{ alt | inline }}]({{ path }})

{% endfor -%}
## Where it comes from

- source: {{ m.source.name | inline }}\
{% if m.source.hub %} ([{{ m.source.hub | inline }}](https://huggingface.co/datasets/{{ m.source.hub | urlencode }}))\
{% endif %}, split {{ m.source.split | code }}, revision {{ (m.source.revision or "not given") | inline }}
- licence of the source: {{ (m.source.licence or "not given") | inline }}
{% if m.source.terms %}- terms of the source: {{ m.source.terms | inline }}
{% endif -%}
{% if m.source.authorization %}- authorization to pass it on: {{ m.source.authorization | inline }}
{% elif held %}- pictures and captions may not be passed on: the licence does not let one, and no authorization is \
recorded
{% endif -%}
{% if m.source.citation %}- citation: {{ m.source.citation | inline }}
{% endif -%}
{% for reference in m.references -%}
- no copy of a picture of {{ reference.name | inline }} is kept, revision \
{{ (reference.revision or "not given") | inline }}
{% endfor -%}
- recipe (SHA-256): `{{ m.recipe_sha256 }}`
- made with: {% for name, number in m.versions.items() %}{{ name | inline }} {{ number | inline }}\
{{ ", " if not loop.last }}{% endfor %}
{% if m.source.quarantined %}- shards that could not be read and are missing here: \
{% for shard in m.source.quarantined %}{{ shard.shard | code }} (from row {{ shard.rows | number }} on)\
{{ ", " if not loop.last }}{% endfor %}
{% endif -%}
{% if m.rules_off -%}
- rules that no row was held against, for lack of a column: \
{% for rule in m.rules_off %}`{{ rule.value }}`{{ ", " if not loop.last }}{% endfor %}
{% endif %}
## How to check it

`manifest.json` holds the recipe as resolved, the identity of every source shard and the SHA-256 of every file:

```
git10m verify path/to/{{ m.subset }}
```
"""

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)

_ALT = {
    "funnel": "Bars: pairs left after each stage",
    "places": "World maps of the tile centres of source and subset",
    "zoom": "Histogram of the zoom levels of source and subset",
    "quality": "Histogram of the quality scores of source and subset",
    "words": "Histogram of the caption lengths of source and subset",
    "similarity": "Histogram of the similarity of picture and caption, of source and subset",
    "prompt-margin": "Histogram of the margin of remote-sensing prompts, of source and subset",
}


def render_card(manifest: Manifest, data: Sequence[DataFile], figures: Sequence[str] = ()) -> str:
    """Return the card of a subset as Markdown with the Hub's YAML header.

    Args:
        manifest: of the subset; unsealed or without files will do.
        data: the files that ``load_dataset`` opens: the data files, or ``index.parquet`` of a subset in mode ``index``.
        figures: paths of pictures to show, relative to the card.
    """
    splits = [split for split, rows in manifest.splits.items() if rows]
    shown = "train" if "train" in splits or not splits else splits[0]
    return (
        _environment()
        .from_string(_CARD)
        .render(
            m=manifest,
            header=_yaml(_header(manifest, data)),
            indexed=manifest.mode == "index",
            tars=is_tars(manifest),
            shown=shown,
            braces=_braces([file.path for file in data if file.path.startswith(f"data/{shown}-")]),
            image=manifest.columns.facts.get("image", "image").replace('"', '""'),
            facts={column.name: "" for column in manifest.columns.columns}
            | {column: fact for fact, column in manifest.columns.facts.items()},
            chosen=block(_yaml(chosen), "yaml") if (chosen := _chosen(manifest)) else "",
            held=manifest.mode == "data" and not redistributable(manifest.source.licence),
            figures=[(path, _ALT.get(PurePosixPath(path).stem, PurePosixPath(path).stem)) for path in figures],
        )
    )


def is_tars(manifest: Manifest) -> bool:
    """Return whether the data files are WebDataset tars, and not Parquet files."""
    return bool(manifest.recipe["output"]["format"] == "webdataset")


def _header(manifest: Manifest, data: Sequence[DataFile]) -> dict[str, Any]:
    kept = manifest.funnel.kept
    # `datasets` caches by this header alone: without it, a changed subset would open as the old one.
    content = [manifest.model_dump(mode="json", exclude={"files", "seal"}), [file.sha256 for file in data]]
    return {
        **hub_licence(manifest.source.licence),
        "pretty_name": manifest.subset,
        "task_categories": ["text-to-image", "image-to-text"],
        "size_categories": [next((name for limit, name in _SIZES if kept < limit), "10M<n<100M")],
        "configs": [
            {
                "config_name": "default",
                "description": f"data {fingerprint(content)[:16]}",
                "data_files": [{"split": split, "path": path} for split, path, _ in _splits(manifest)],
            }
        ],
        "dataset_info": _info(manifest, data),
    }


def _splits(manifest: Manifest) -> Iterator[tuple[str, str, int]]:
    """Yield the name, files and rows of each split that has rows, as ``datasets`` is to see them."""
    if manifest.mode == "index":
        yield "index", "index.parquet", manifest.funnel.kept
        return
    for split, rows in manifest.splits.items():
        if rows:
            yield split, f"data/{split}-*{'.tar' if is_tars(manifest) else '.parquet'}", rows


def _info(manifest: Manifest, data: Sequence[DataFile]) -> dict[str, Any]:
    """Return ``dataset_info``; of tars without features, which `datasets` finds by what is in them."""
    splits, whole = [], 0
    for split, path, rows in _splits(manifest):
        size = sum(file.byte_length for file in data if fnmatchcase(file.path, path))
        splits.append({"name": split, "num_bytes": size, "num_examples": rows})
        whole += size
    features = {} if manifest.mode == "data" and is_tars(manifest) else {"features": _features(manifest)}
    return {"config_name": "default", **features, "splits": splits, "download_size": whole, "dataset_size": whole}


def _features(manifest: Manifest) -> list[dict[str, Any]]:
    from datasets import Features  # slow to import

    schema: pa.Schema = INDEX if manifest.mode == "index" else DataSchema.of(manifest.columns).schema
    return list(Features.from_arrow_schema(schema)._to_yaml_list())


def _braces(paths: Sequence[str]) -> str:
    """Return numbered ``paths`` as one pattern.

    >>> _braces(["data/train-00000-of-00002.tar", "data/train-00001-of-00002.tar"])
    'data/train-{00000..00001}-of-00002.tar'
    """
    if len(paths) < 2:
        return paths[0] if paths else ""
    first, last = (path.split("-of-")[0].rsplit("-", 1) for path in (min(paths), max(paths)))
    return f"{first[0]}-{{{first[1]}..{last[1]}}}-of-{paths[0].split('-of-')[1]}"


def _chosen(manifest: Manifest) -> dict[str, Any]:
    """Return what of the recipe decides which rows are kept, and is not the default."""
    defaults = {
        "scan": ScanSettings().model_dump(mode="json"),
        "validation": Validation().model_dump(mode="json"),
        "deduplication": Deduplication().model_dump(mode="json"),
    }
    told = _beyond({name: manifest.recipe.get(name, {}) for name in defaults}, defaults)
    subset = _beyond(manifest.recipe["subsets"][0], Subset(name=manifest.subset).model_dump(mode="json"))
    return told | ({"subset": subset} if subset else {})


def _beyond(told: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in told.items():
        usual = default.get(key)
        if isinstance(value, dict) and isinstance(usual, dict | None):
            value = _beyond(value, usual or {})
        if value not in (usual, None, {}):
            found[key] = value
    return found


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    environment.filters |= {"inline": inline, "code": code, "number": "{:,}".format}
    return environment


def _yaml(data: Any) -> str:
    yaml, text = YAML(), io.StringIO()
    yaml.dump(data, text)
    return text.getvalue()
