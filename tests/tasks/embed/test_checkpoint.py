"""What a checkpoint's name stands for; no weights are needed to tell."""

from pathlib import Path

import pytest
from hubserver import HubServer

from schemas.scorer import Checkpoint
from tasks.embed.checkpoint import CheckpointNotFound, pinned_checkpoint
from tasks.source.shards import SourceError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "part").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "part" / "model.safetensors").write_bytes(b"weights")
    return folder


def checkpoint(model: Path | str, **settings: object) -> Checkpoint:
    return Checkpoint.model_validate({"name": "mine", "model": str(model), **settings})


def test_a_folder_is_known_by_all_that_it_holds(folder: Path) -> None:
    first = pinned_checkpoint(checkpoint(folder))
    (folder / ".cache").mkdir()
    (folder / ".cache" / "note").write_text("not a part of it")
    moved = folder.rename(folder.with_name("moved"))

    assert pinned_checkpoint(checkpoint(moved)).weights() == first.weights() == {"sha256": first.sha256}
    (moved / "part" / "model.safetensors").write_bytes(b"Weights")
    assert pinned_checkpoint(checkpoint(moved)).sha256 != first.sha256
    with pytest.raises(CheckpointNotFound, match=f"mine: .*moved: found SHA-256 .*, expected {first.sha256}"):
        pinned_checkpoint(checkpoint(moved, sha256=first.sha256))


def test_a_folder_without_configuration_is_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFound, match=r"no config\.json; expected what save_pretrained writes"):
        pinned_checkpoint(checkpoint(tmp_path))


def test_neither_folder_nor_model_of_the_hub() -> None:
    with pytest.raises(CheckpointNotFound, match=r"mine: /no/such/model: no such folder; expected one, or a model of"):
        pinned_checkpoint(checkpoint("/no/such/model"))


def test_a_revision_of_the_hub_is_a_commit(hub: HubServer, folder: Path) -> None:
    old = hub.commit("someone/model", folder)
    (folder / "config.json").write_text('{"new": true}')
    new = hub.commit("someone/model", folder)

    pinned = pinned_checkpoint(checkpoint("someone/model"))
    assert pinned.weights() == {"model": "someone/model", "revision": new}
    assert pinned_checkpoint(checkpoint("someone/model", revision=old)).revision == old
    with pytest.raises(SourceError, match="someone/other: no such model, or a private one"):
        pinned_checkpoint(checkpoint("someone/other"))
    with pytest.raises(SourceError, match="no revision 'old'; expected a branch, tag or commit of the model"):
        pinned_checkpoint(checkpoint("someone/model", revision="old"))
