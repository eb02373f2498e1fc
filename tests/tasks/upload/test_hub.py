import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hubserver import OWNER, TOKEN, WRITER, Fault, HubServer
from licensed import files_in
from upath import UPath

from schemas.manifest import Manifest
from tasks.published import read_manifest
from tasks.upload.hub import UploadFailed, check_id, upload
from tasks.upload.permission import UploadRefused

ID = f"{OWNER}/tiny-clean"


def expected(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in files_in(folder).items() if name != "run.json"}


def shown(hub: HubServer) -> dict[str, bytes]:
    return {name: content for name, content in hub.files(ID).items() if name != ".gitattributes"}


def manifest_of(folder: Path) -> Manifest:
    return read_manifest(UPath(folder))


def sent(hub: HubServer) -> int:
    """Return the bytes of large files that came, those of several attempts counted each time."""
    return sum(len(request.body) for request in hub.uploads())


def commits(hub: HubServer) -> list[str]:
    return [request.path for request in hub.requests if "/commit/" in request.path and request.method == "POST"]


def test_all_of_it_arrives_in_one_commit_of_a_new_private_data_set(writable: HubServer, authorized: Path) -> None:
    arrived: list[int] = []
    uploaded = upload(authorized, manifest_of(authorized), ID, public=False, done=arrived.append)
    assert shown(writable) == expected(authorized)
    assert writable.is_private(ID)
    assert len(commits(writable)) == 1
    assert (uploaded.created, uploaded.private, uploaded.removed) == (True, True, ())
    assert set(uploaded.sent) == expected(authorized).keys()
    assert uploaded.url == f"{writable.url}/datasets/{ID}"
    assert sum(arrived) == sum(map(len, expected(authorized).values()))
    assert len(manifest_of(authorized).files) > 10


def test_a_public_one_is_made_so_only_when_asked(writable: HubServer, index: Path) -> None:
    assert not upload(index, manifest_of(index), ID, public=True).private
    assert not writable.is_private(ID)
    with pytest.raises(UploadRefused, match=r"everybody can read it; expected a private data set, or --public"):
        upload(index, manifest_of(index), ID, public=False)


def test_the_second_time_nothing_is_sent(writable: HubServer, authorized: Path) -> None:
    first = upload(authorized, manifest_of(authorized), ID, public=False)
    bytes_before = sent(writable)
    second = upload(authorized, manifest_of(authorized), ID, public=False)
    assert (second.sent, second.removed, second.created, second.commit) == ((), (), False, first.commit)
    assert sent(writable) == bytes_before
    assert len(commits(writable)) == 1


def test_a_new_version_takes_the_place_of_the_former_one_at_once(
    writable: HubServer, authorized: Path, index: Path
) -> None:
    upload(authorized, manifest_of(authorized), ID, public=False)
    writable.commit(ID, writable.files(ID) | {"notes.txt": b"somebody's", "other/data.parquet": b"theirs"})
    uploaded = upload(index, manifest_of(index), ID, public=False)
    assert shown(writable) == expected(index) | {"notes.txt": b"somebody's", "other/data.parquet": b"theirs"}
    assert set(uploaded.removed) == expected(authorized).keys() - expected(index).keys()
    assert any(path.startswith("data/") for path in uploaded.removed)
    assert len(commits(writable)) == 2


@pytest.mark.parametrize(
    "stranger", ["README.md", "manifest.json", "data/train-00000-of-00009.parquet", "data/x.csv", ".gitignore"]
)
def test_files_of_others_are_neither_overwritten_nor_mixed_in(writable: HubServer, index: Path, stranger: str) -> None:
    writable.commit(ID, {stranger: b"somebody's"})
    writable.close_off(ID, "private")
    with pytest.raises(UploadRefused, match=rf"{ID}: found {stranger}, of no former version of this subset"):
        upload(index, manifest_of(index), ID, public=False)
    assert writable.files(ID) == {stranger: b"somebody's"}
    assert writable.uploads() == []


def test_another_subset_is_not_overwritten(writable: HubServer, index: Path, authorized: Path) -> None:
    upload(index, manifest_of(index), ID, public=False)
    other = manifest_of(authorized).model_copy(update={"subset": "other"}).sealed()
    with pytest.raises(
        UploadRefused, match="found the subset clean of tiny, expected a former version of other of tiny"
    ):
        upload(authorized, other, ID, public=False)
    assert shown(writable) == expected(index)


def test_a_manifest_that_was_changed_there_deletes_nothing(writable: HubServer, index: Path) -> None:
    upload(index, manifest_of(index), ID, public=False)
    changed = json.loads(writable.files(ID)["manifest.json"])
    changed["files"].append(changed["files"][0] | {"path": "notes.txt"})
    writable.commit(ID, {"manifest.json": json.dumps(changed).encode(), "notes.txt": b"somebody's"})
    with pytest.raises(UploadRefused, match=r"found manifest\.json, of no former version"):
        upload(index, manifest_of(index), ID, public=False)
    assert writable.files(ID)["notes.txt"] == b"somebody's"


def test_what_arrived_before_a_crash_is_not_sent_again(writable: HubServer, authorized: Path) -> None:
    manifest = manifest_of(authorized)
    large = [file for file in manifest.files if file.path.endswith(".parquet")]
    stuck = large[2]
    writable.plan(stuck.sha256, Fault(status=503, headers={"Retry-After": "120"}))
    command = (
        "import sys; from pathlib import Path; from upath import UPath\n"
        "from tasks.upload.hub import upload; from tasks.write.staging import read_manifest\n"
        "upload(Path(sys.argv[1]), read_manifest(UPath(sys.argv[1])), sys.argv[2], public=False)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", command, str(authorized), ID],
        env=os.environ | {"HF_HUB_DISABLE_XET": "1", "HF_TOKEN": WRITER},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while len([request for request in writable.uploads() if request.status]) < 5:
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    arrived = {request.path.removeprefix("/store/") for request in writable.uploads() if request.status == 200}
    assert 0 < len(arrived) < len(large)
    assert stuck.sha256 not in arrived
    assert set(writable.files(ID)) == {".gitattributes"}
    before = sent(writable)
    upload(authorized, manifest, ID, public=False)
    assert sent(writable) - before == sum(file.byte_length for file in large if file.sha256 not in arrived)
    assert shown(writable) == expected(authorized)


def test_a_change_by_somebody_else_meanwhile_is_not_overwritten(writable: HubServer, index: Path) -> None:
    calls: list[int] = []

    def somebody(byte_length: int) -> None:
        calls.append(byte_length)
        if len(calls) == 2:  # files are on their way, and the commit is not made yet
            writable.commit(ID, {"theirs.txt": b"meanwhile"})

    with pytest.raises(UploadFailed, match=r"somebody else changed it meanwhile .*; run the same command again"):
        upload(index, manifest_of(index), ID, public=False, done=somebody)
    assert set(writable.files(ID)) == {"theirs.txt"}
    upload(index, manifest_of(index), ID, public=False)
    assert shown(writable) == expected(index) | {"theirs.txt": b"meanwhile"}


@pytest.mark.parametrize("name", ["README.md", "index.parquet"])
def test_a_file_that_is_not_the_one_in_the_manifest_never_shows(
    writable: HubServer, index: Path, tmp_path: Path, name: str
) -> None:
    manifest = manifest_of(index)
    for name, content in expected(index).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / name).write_text("---\n---\nanother")
    with pytest.raises(UploadFailed, match=rf"{name}: is not the file in the manifest"):
        upload(tmp_path, manifest, ID, public=False)
    assert set(writable.files(ID)) == {".gitattributes"}
    upload(index, manifest, ID, public=False)
    assert shown(writable) == expected(index)


def test_without_a_token_nothing_is_asked(hub: HubServer, index: Path) -> None:
    with pytest.raises(UploadRefused, match=r"no token: run `hf auth login`, or set HF_TOKEN"):
        upload(index, manifest_of(index), ID, public=False)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("token", "hub_id", "told"),
    [
        ("hf_unknown_secret", ID, r"the Hub does not accept the token \(.*\); expected one that may write"),
        (TOKEN, ID, r"the token may not write there \(.*\); expected a token that may write for someone"),
        (WRITER, "nobody/x", r"nobody/x: the token may not write there \(.*'nobody'\); expected .* write for nobody"),
    ],
)
def test_who_may_not_write_is_told_so_and_never_the_token(
    writable: HubServer,
    index: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    token: str,
    hub_id: str,
    told: str,
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with caplog.at_level("DEBUG"), pytest.raises(UploadFailed, match=told) as refused:
        upload(index, manifest_of(index), hub_id, public=False)
    assert token not in str(refused.value)
    assert token not in caplog.text
    assert writable.uploads() == []


def test_who_may_only_read_an_existing_one_is_told_so(
    writable: HubServer, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writable.commit(ID, {".gitattributes": b""})
    writable.close_off(ID, "private")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(UploadFailed, match="the token may not write there"):
        upload(index, manifest_of(index), ID, public=False)


def test_a_storage_that_refuses_is_told_without_its_signed_address(writable: HubServer, index: Path) -> None:
    file = next(file for file in manifest_of(index).files if file.path == "index.parquet")
    writable.plan(file.sha256, Fault(status=403))
    with pytest.raises(UploadFailed, match=r"'index\.parquet'.*Its storage answered 403\. Run the same") as failed:
        upload(index, manifest_of(index), ID, public=False)
    assert "/store/" not in str(failed.value)


def test_no_network_is_told(writable: HubServer, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")  # the port of nothing
    with pytest.raises(UploadFailed, match=r"expected http://127\.0\.0\.1:1 to answer: is the network up\?"):
        upload(index, manifest_of(index), ID, public=False)


@pytest.mark.parametrize("hub_id", ["alone", "a/b/c", "someone/", "some one/x", "someone/x..y", "../x", ""])
def test_a_malformed_id_is_refused(hub_id: str) -> None:
    with pytest.raises(UploadRefused, match="expected owner/name"):
        check_id(hub_id)
    check_id(ID)
