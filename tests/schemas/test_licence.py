import pytest

from schemas.licence import is_git10m, redistributable


@pytest.mark.parametrize(
    "licence",
    ["CC0-1.0", "CC-BY-4.0", "cc-by-sa-3.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-2.5", "PDDL-1.0", "ODbL-1.0", "Apache-2.0"],
)
def test_these_let_pictures_be_passed_on(licence: str) -> None:
    assert redistributable(licence)


@pytest.mark.parametrize(
    "licence",
    [
        None,
        "",
        "CC-BY-NC-ND-4.0",
        "CC-BY-ND-4.0",
        "cc-by-nc-nd-4.0",
        "CC-BY-4.0 OR CC-BY-ND-4.0",
        "CC-BY-4.0-but-not-these",
        "CC-BY-4.0\n",
        " CC-BY-4.0",
        "CC-BY",
        "other",
        "unknown",
        "LicenseRef-CC-BY-4.0",
        "proprietary",
    ],
)
def test_every_other_and_none_does_not(licence: str | None) -> None:
    assert not redistributable(licence)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("lcybuaa/Git-10M", "/data"),
        ("git-10m", "/data"),
        ("mine", "lcybuaa/Git-10M"),
        ("x", "/a/lcybuaa/Git-10M/train"),
    ],
)
def test_git10m_is_known_by_name_or_path(name: str, path: str) -> None:
    assert is_git10m(name, path)


@pytest.mark.parametrize(
    ("name", "path"),
    [("mine", "/data/Git-10M"), ("git-10m-copy", "/data"), ("mine", "hf://datasets/x/lcybuaa/Git-10Mb")],
)
def test_others_are_not_taken_for_it(name: str, path: str) -> None:
    assert not is_git10m(name, path)
