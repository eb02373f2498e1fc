"""The same pairs in every kind of source that can be read: what is looked at, scanned, kept and rejected of each.

Needs the extras ``demo`` and ``dev``: the Hub and the S3 server are the tests' own, on loopback.

    python -m benchmarks.sources
"""

import csv
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import hubserver
import s3server

from schemas.manifest import Manifest
from schemas.source import FileSource
from tasks.demo.source import make_source
from tasks.source.listing import list_shards
from tasks.source.read import read_batches


class Kind(NamedTuple):
    """One way to hold the same rows."""

    name: str
    source: dict[str, Any]
    environment: dict[str, str] | None = None


def every_kind(home: Path, hub: hubserver.HubServer, s3: s3server.S3Server) -> Iterator[Kind]:
    """Write the demo's rows in every form below ``home`` and on the servers, and yield them."""
    tree = make_source(home / "demo").directory
    shards = [
        pa.Table.from_batches(read_batches(shard)) for shard in list_shards(FileSource(path=str(tree), name="demo"))
    ]
    yield Kind("save_to_disk tree (Arrow streams)", {"path": str(tree)})

    for form in ("arrow-file", "parquet", "parquet-binary", "image-text"):
        (home / form).mkdir()
    for number, table in enumerate(shards):
        with (
            pa.OSFile(str(home / f"arrow-file/{number}.arrow"), "wb") as file,
            pa.ipc.new_file(file, table.schema) as w,
        ):
            w.write_table(table)
        pq.write_table(table, home / f"parquet/{number}.parquet", row_group_size=100)
        binary = [image and image["bytes"] for image in table["image"].to_pylist()]
        plain = table.set_column(table.schema.get_field_index("image"), "picture", pa.array(binary, pa.large_binary()))
        pq.write_table(plain, home / f"parquet-binary/{number}.parquet")
        texts = [
            f"{0 if place is None else place.split('_')[0]}_GOOGLE_LEVEL_{caption}"
            for place, caption in zip(table["Google_location"].to_pylist(), table["caption"].to_pylist(), strict=True)
        ]
        pq.write_table(pa.table({"image": table["image"], "text": texts}), home / f"image-text/{number}.parquet")
    yield Kind("Arrow files", {"path": str(home / "arrow-file")})
    yield Kind("Parquet, struct image, glob", {"path": str(home / "parquet/*.parquet")})
    yield Kind("Parquet, binary image, mapped", {"path": str(home / "parquet-binary"), "columns": {"image": "picture"}})
    yield Kind("Parquet, image and text (older layout)", {"path": str(home / "image-text")})
    yield Kind("WebDataset", {"path": str(_tars(home / "tars", shards))})
    yield Kind("image folder, metadata.csv", {"path": str(_folder(home / "folder", shards))})

    commit = hub.commit("someone/demo", tree)
    at_hub = {"HF_ENDPOINT": hub.url}
    yield Kind("Hub, save_to_disk, branch main", {"kind": "hub", "path": "someone/demo", "revision": "main"}, at_hub)
    hub.commit("someone/parquet", home / "parquet")
    yield Kind("Hub, Parquet", {"kind": "hub", "path": "someone/parquet"}, at_hub)
    assert commit
    for name, folder in (("save_to_disk", tree), ("parquet", home / "parquet"), ("tars", home / "tars")):
        with _environment(s3.environment):
            fsspec.filesystem("s3").put(f"{folder}/", f"{s3.bucket}/{name}/", recursive=True)
        yield Kind(f"s3://, {name}", {"path": f"s3://{s3.bucket}/{name}"}, s3.environment)


def _tars(folder: Path, shards: list[pa.Table]) -> Path:
    folder.mkdir()
    for number, table in enumerate(shards):
        with tarfile.open(folder / f"{number:05d}.tar", "w") as tar:
            for row, facts in enumerate(table.to_pylist()):
                image = facts.pop("image")
                members = {"json": json.dumps(_finite(facts)).encode(), "jpg": image and image["bytes"]}
                for extension, data in members.items():
                    if data is not None:
                        member = tarfile.TarInfo(f"{number:02d}{row:05d}.{extension}")
                        member.size = len(data)
                        tar.addfile(member, io.BytesIO(data))
    return folder


def _finite(facts: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN and no infinity: they are written as text, which is read as a number."""
    return {name: str(v) if isinstance(v, float) and v - v != 0 else v for name, v in facts.items()}


def _folder(folder: Path, shards: list[pa.Table]) -> Path:
    folder.mkdir()
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = None
        for number, table in enumerate(shards):
            for row, facts in enumerate(table.to_pylist()):
                image = facts.pop("image")
                name = f"{number:02d}{row:05d}.jpg"
                if image and image["bytes"] is not None:
                    (folder / name).write_bytes(image["bytes"])
                if writer is None:
                    writer = csv.DictWriter(file, ["file_name", *facts])
                    writer.writeheader()
                caption = facts["caption"]
                writer.writerow({"file_name": name} | facts | {"caption": caption and caption.replace("\0", "")})
    return folder


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    former = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in former.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def _run(arguments: list[str], kind: Kind) -> str:
    command = [str(Path(sys.executable).parent / "git10m"), *arguments]
    environment = os.environ | (kind.environment or {})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{kind.name}: {' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def main() -> None:
    """Curate and inspect each kind through the command line, and print a table."""
    print("| source kind | inspect: rows (looked at) | rows in | kept | rejected | scan to manifest [s] |")
    print("|---|---|---:|---:|---:|---:|", flush=True)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        home = Path(folder)
        hub, s3 = servers.enter_context(hubserver.serve()), servers.enter_context(s3server.serve())
        for number, kind in enumerate(every_kind(home, hub, s3)):
            recipe = {
                "source": {"name": "demo"} | kind.source,
                "validation": {"image_size": {"width": 256, "height": 256}},
                "subsets": [{"name": "clean"}],
                "output": {"dir": str(home / f"out-{number}")},
                "workspace": str(home / f"workspace-{number}"),
                "engine": {"workers": 2, "fetched_bytes": 20_000_000},
            }
            path = home / f"recipe-{number}.yaml"
            YAML().dump(recipe, path)
            arguments = ["inspect", kind.source["path"], *(["--hub"] if kind.source.get("kind") == "hub" else [])]
            arguments += [f"--column={k}={v}" for k, v in kind.source.get("columns", {}).items()]
            looked = next(line for line in _run(arguments, kind).splitlines() if line.startswith("rows"))
            begin = time.perf_counter()
            _run(["curate", str(path)], kind)
            seconds = time.perf_counter() - begin
            _run(["verify", str(home / f"out-{number}" / "clean")], kind)
            manifest = Manifest.model_validate_json((home / f"out-{number}" / "clean" / "manifest.json").read_text())
            rows, kept = manifest.source.rows, manifest.funnel.kept
            told = looked.removeprefix("rows").strip().replace("; looked at", " (").split(" in ")[0] + ")"
            print(f"| {kind.name} | {told} | {rows:,} | {kept:,} | {rows - kept:,} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
