import pytest
from licensed import AUTHORIZATION, ND

from schemas.manifest import SourceIdentity
from schemas.reports import DataFile
from tasks.upload.permission import UploadRefused, permission, refuse_other_files


def identity(licence: str | None, authorization: str | None = None) -> SourceIdentity:
    return SourceIdentity(
        name="tiny",
        hub=None,
        split="train",
        revision=None,
        licence=licence,
        citation=None,
        authorization=authorization,
        columns={},
        rows=0,
        shards=(),
        quarantined=(),
    )


@pytest.mark.parametrize("licence", ["CC-BY-4.0", "cc0-1.0", "CC-BY-NC-SA-4.0", "MIT", "ODbL-1.0"])
def test_a_licence_that_allows_it_needs_no_authorization(licence: str) -> None:
    assert permission(identity(licence)) == (True, f"the licence {licence} lets it be passed on")


@pytest.mark.parametrize("licence", [ND, "CC-BY-ND-4.0", "proprietary", "CC-BY-4.0 OR CC-BY-ND-4.0", "CC-BY-4.0\n", ""])
def test_any_other_licence_holds_it_back_unless_authorized(licence: str) -> None:
    assert not permission(identity(licence)).whole
    assert not permission(identity(licence, " \n")).whole
    allowed = permission(identity(licence, AUTHORIZATION))
    assert allowed.whole
    assert AUTHORIZATION in allowed.because


def test_no_licence_holds_it_back() -> None:
    assert permission(identity(None)) == (False, "no licence of the source is given, and there is no authorization")


@pytest.mark.parametrize("path", ["data/train-00000-of-00001.parquet", "report.html", "figures/a/b.png", "run.json"])
def test_an_index_has_no_place_for_other_files(path: str) -> None:
    files = [DataFile(path=name, rows=None, byte_length=1, sha256="0" * 64) for name in ("README.md", path)]
    with pytest.raises(UploadRefused, match=rf"^{path}: may hold pictures or captions"):
        refuse_other_files(files)
    refuse_other_files(files[:1])
