import hashlib
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from licensed import REFUSAL, Source, details_of, files_in, readable
from upath import UPath

from schemas.manifest import Manifest
from schemas.tables import INDEX, REJECTED
from tasks.published import NotASubset, read_manifest
from tasks.upload.index_form import check_index, index_form
from tasks.upload.permission import UploadRefused
from tasks.verify.subset import verify


def sealed(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest`` anew, with the digests of what lies in ``folder`` now."""
    files = tuple(
        file.model_copy(update={"sha256": hashlib.sha256(content).hexdigest(), "byte_length": len(content)})
        for file in manifest.files
        if (content := (folder / file.path).read_bytes())
    )
    (folder / "manifest.json").write_text(manifest.model_copy(update={"files": files}).sealed().model_dump_json())


def test_the_index_form_is_what_the_mode_index_writes(whole: Path, index: Path, tmp_path: Path) -> None:
    index_form(UPath(whole), tmp_path / "form")
    made, direct = files_in(tmp_path / "form"), files_in(index)
    assert made.keys() == direct.keys() - {"run.json"}
    for name in ("index.parquet", "rejected.parquet"):
        assert made[name] == direct[name]
    assert pq.read_metadata(whole / "rejected.parquet").num_row_groups == 3


def test_it_holds_what_may_be_shared_and_nothing_else(source: Source, whole: Path, tmp_path: Path) -> None:
    before = files_in(whole)
    manifest = index_form(UPath(whole), tmp_path / "form")
    files = files_in(tmp_path / "form")
    assert {name for name in files if not name.startswith("figures/")} == {
        "index.parquet", "rejected.parquet", "README.md", "croissant.json", "manifest.json",
    }  # fmt: skip
    assert pq.read_schema(tmp_path / "form" / "index.parquet").equals(INDEX)
    assert pq.read_schema(tmp_path / "form" / "rejected.parquet").equals(REJECTED)
    assert REFUSAL[:30] in str(details_of(whole / "rejected.parquet").to_pylist())
    assert set(details_of(tmp_path / "form" / "rejected.parquet").to_pylist()) == {None}
    assert source.found_in(readable(files.values())) == set()
    everything = source.found_in(readable(before.values()))
    assert everything >= {f"caption {number}" for number in range(24) if number not in (3, 20)}
    assert everything >= {f"image {number}" for number in range(24) if number not in (3, 6)}
    check_index(UPath(tmp_path / "form"), manifest)
    assert files_in(whole) == before


def test_its_manifest_is_sealed_and_tells_of_the_data_files(whole: Path, tmp_path: Path) -> None:
    former = read_manifest(UPath(whole))
    manifest = index_form(UPath(whole), tmp_path / "form")
    assert read_manifest(UPath(tmp_path / "form")) == manifest
    assert manifest.mode == "index"
    assert [file.path for file in manifest.indexed] == sorted(
        f"data/{path.name}" for path in (whole / "data").iterdir()
    )
    assert set(manifest.indexed) | set(manifest.files) >= {
        f for f in former.files if f.path.startswith(("data", "ind"))
    }
    unchanged = {"mode": former.mode, "indexed": former.indexed, "files": former.files, "seal": former.seal}
    assert manifest.model_copy(update=unchanged) == former
    for file in manifest.files:
        content = (tmp_path / "form" / file.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.byte_length, file.sha256)
    assert verify(UPath(tmp_path / "form")).problems == ()


def test_twice_gives_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    index_form(UPath(whole), tmp_path / "first")
    index_form(UPath(whole), tmp_path / "second")
    assert files_in(tmp_path / "first") == files_in(tmp_path / "second")


@pytest.mark.parametrize("name", ["index.parquet", "rejected.parquet", "manifest.json"])
def test_a_damaged_subset_leaves_nothing(whole: Path, tmp_path: Path, name: str) -> None:
    damaged = Path(shutil.copytree(whole, tmp_path / "damaged"))
    content = bytearray((damaged / name).read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / name).write_bytes(content)
    with pytest.raises(NotASubset, match=name.replace(".", r"\.")):
        index_form(UPath(damaged), tmp_path / "form")
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]


def test_a_folder_in_the_way_and_an_index_are_refused(whole: Path, index: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="exists; expected a new folder"):
        index_form(UPath(whole), tmp_path)
    with pytest.raises(UploadRefused, match="is an index already"):
        index_form(UPath(index), tmp_path / "form")


def test_another_column_is_refused(source: Source, whole: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(whole, tmp_path / "changed"))
    table = pq.read_table(changed / "index.parquet")
    captions = [source.captions()[row] for row in table["row_id"].to_pylist()]
    pq.write_table(table.append_column("caption", [captions]), changed / "index.parquet")
    sealed(changed, read_manifest(UPath(whole)))
    with pytest.raises(UploadRefused, match=r"index\.parquet: found columns .*caption.*, expected"):
        index_form(UPath(changed), tmp_path / "form")
    assert not (tmp_path / "form").exists()


def test_captions_beside_the_columns_are_refused(whole: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(whole, tmp_path / "changed"))
    table = pq.read_table(changed / "index.parquet").replace_schema_metadata({"captions": json.dumps([REFUSAL])})
    pq.write_table(table, changed / "index.parquet")
    sealed(changed, read_manifest(UPath(whole)))
    with pytest.raises(UploadRefused, match=r"index\.parquet: found the notes \[b'captions'\]"):
        index_form(UPath(changed), tmp_path / "form")


def test_an_index_with_details_or_more_files_is_refused(whole: Path, index: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(index, tmp_path / "changed"))
    shutil.copy(whole / "rejected.parquet", changed / "rejected.parquet")
    manifest = read_manifest(UPath(index))
    check_index(UPath(index), manifest)
    told = details_of(whole / "rejected.parquet")
    with pytest.raises(UploadRefused, match=rf"found {len(told) - told.null_count} details of rejected rows"):
        check_index(UPath(changed), manifest)
    more = manifest.model_copy(update={"files": (*manifest.files, *read_manifest(UPath(whole)).files)})
    with pytest.raises(UploadRefused, match=r"data/train-.*report\.html: may hold pictures or captions"):
        check_index(UPath(index), more)
