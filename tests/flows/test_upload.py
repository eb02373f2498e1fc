"""What leaves the machine: pictures and captions only where the licence or an authorization lets them."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import licensed
import pyarrow.parquet as pq
import pytest
from hubserver import OWNER, WRITER, HubServer
from licensed import AUTHORIZATION, ND, Source, files_in, readable
from upath import UPath

from flows.upload import run_publish
from schemas.manifest import Manifest
from schemas.tables import INDEX, REJECTED
from tasks.published import NotASubset
from tasks.upload.permission import UploadRefused

ID = f"{OWNER}/tiny-clean"


Curate = Callable[..., Path]


@pytest.fixture(scope="module")
def licensed_source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return licensed.source(tmp_path_factory.mktemp("licensed"))


@pytest.fixture(scope="module")
def curate(licensed_source: Source, tmp_path_factory: pytest.TempPathFactory) -> Curate:
    """Return a function that gives the subset under a licence; it is curated once, for publishing writes nothing."""

    @cache
    def subset(licence: str | None, authorization: str | None = None, mode: str = "data") -> Path:
        return licensed.subset(licensed_source, tmp_path_factory.mktemp("home"), licence, authorization, mode=mode)

    return subset


@pytest.fixture
def writable(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", WRITER)
    return hub


def requests_with(source: Source, hub: HubServer) -> set[str]:
    """Return which pictures and captions of ``source`` are in anything that came to ``hub``."""
    bodies = [request.body for request in hub.requests] + [request.path.encode() for request in hub.requests]
    return source.found_in(readable(bodies))


@pytest.mark.parametrize("mode", ["data", "index"])
@pytest.mark.parametrize("licence", [ND, None])
def test_no_picture_and_no_caption_leaves_without_licence_and_authorization(
    licensed_source: Source,
    curate: Curate,
    writable: HubServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    licence: str | None,
    mode: str,
) -> None:
    directory = curate(licence, mode=mode)
    before = files_in(directory)
    uploaded = run_publish(UPath(directory), ID)
    assert requests_with(licensed_source, writable) == set()
    files = writable.files(ID)
    assert {name for name in files if not name.startswith("figures/")} == {
        ".gitattributes", "index.parquet", "rejected.parquet", "manifest.json", "README.md", "croissant.json",
    }  # fmt: skip
    for name, schema in (("index.parquet", INDEX), ("rejected.parquet", REJECTED)):
        (tmp_path / name).write_bytes(files[name])
        assert pq.read_schema(tmp_path / name).equals(schema)
    assert set(pq.read_table(tmp_path / "rejected.parquet")["detail"].to_pylist()) == {None}
    assert Manifest.model_validate_json(files["manifest.json"]).mode == "index"
    assert str(directory.parent) not in files["manifest.json"].decode()
    assert files_in(directory) == before
    out = capsys.readouterr().out
    assert (f"the licence {licence}" if licence else "no licence of the source is given") in out
    assert "and there is no authorization" in out
    assert uploaded is not None
    assert uploaded.url in out


@pytest.mark.parametrize(
    ("licence", "authorization"), [(ND, AUTHORIZATION), (None, AUTHORIZATION), ("CC-BY-4.0", None)]
)
def test_with_a_licence_or_an_authorization_all_of_it_arrives_as_it_is(
    licensed_source: Source,
    curate: Curate,
    writable: HubServer,
    capsys: pytest.CaptureFixture[str],
    licence: str | None,
    authorization: str | None,
) -> None:
    directory = curate(licence, authorization)
    run_publish(UPath(directory), ID)
    files = writable.files(ID)
    sent = {name: content for name, content in files.items() if name != ".gitattributes"}
    assert sent == {name: content for name, content in files_in(directory).items() if name != "run.json"}
    assert "report.html" in sent
    assert sum(name.startswith("data/train-") for name in sent) > 5
    assert str(directory.parent) not in "".join(files[name].decode() for name in ("manifest.json", "README.md"))
    found = requests_with(licensed_source, writable)
    assert found >= {
        f"{what} {number}" for what in ("image", "caption") for number in range(24) if number not in (3, 6, 20)
    }
    out = capsys.readouterr().out
    assert "all of it: " in out
    if authorization:
        assert authorization in out
        assert Manifest.model_validate_json(files["manifest.json"]).source.authorization == authorization
        assert authorization in files["README.md"].decode()


def test_when_the_authorization_ends_the_pictures_go_and_their_history_is_told_of(
    curate: Curate, writable: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run_publish(UPath(curate(ND, AUTHORIZATION)), ID)
    assert "history" not in capsys.readouterr().out
    run_publish(UPath(curate(ND)), ID)
    assert not any(name.startswith("data/") or name == "report.html" for name in writable.files(ID))
    assert "the history of the data set still holds the former version's pictures" in capsys.readouterr().out


def test_a_dry_run_lists_the_files_and_asks_nobody(
    curate: Curate, hub: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = curate(ND)
    assert run_publish(UPath(directory), ID, dry_run=True) is None
    out = capsys.readouterr().out
    assert f"{hub.url}/datasets/{ID}" in out
    assert "the index form, without pictures and captions" in out
    listed = {line.split()[0] for line in out.splitlines() if line.startswith("  ")}
    assert listed >= {"index.parquet", "rejected.parquet", "README.md", "croissant.json", "manifest.json"}
    assert not any(name.startswith("data/") or name == "report.html" for name in listed)
    assert f"{len(listed)} files, " in out
    assert hub.requests == []


def test_the_same_again_sends_nothing(curate: Curate, writable: HubServer, capsys: pytest.CaptureFixture[str]) -> None:
    directory = curate(ND)
    first = run_publish(UPath(directory), ID)
    large = len(writable.uploads())
    second = run_publish(UPath(directory), ID)
    assert first is not None
    assert second is not None
    assert second.commit == first.commit
    assert len(writable.uploads()) == large
    assert "unchanged" in capsys.readouterr().out


def test_what_is_no_subset_or_not_sound_is_refused_before_anybody_is_asked(
    curate: Curate, writable: HubServer, tmp_path: Path
) -> None:
    with pytest.raises(NotASubset, match=r"no manifest\.json, so this is not a subset"):
        run_publish(UPath(tmp_path), ID)
    directory = Path(shutil.copytree(curate("CC-BY-4.0"), tmp_path / "changed"))
    with pytest.raises(UploadRefused, match="expected owner/name"):
        run_publish(UPath(directory), "alone")
    (directory / "data" / "mine.txt").write_text("mine")
    with pytest.raises(UploadRefused, match=r"(?s)not sound: 1 problem\(s\).*data/mine\.txt: not in the manifest"):
        run_publish(UPath(directory), ID)
    (directory / "data" / "mine.txt").unlink()
    shutil.copy(directory / "README.md", directory / "report.html")
    with pytest.raises(UploadRefused, match=r"(?s)not sound: .*report\.html"):
        run_publish(UPath(directory), ID)
    assert writable.requests == []
