"""What ``git10m diff`` prints of two curated subsets."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner
from upath import UPath

from flows.cli import app
from flows.diff import run_diff
from schemas.difference import Difference
from schemas.reports import CurateReport


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_what_differs_is_told_in_80_columns_and_the_rows_are_written(
    curated: CurateReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (UPath(subset.directory) for subset in curated.subsets)
    rows = tmp_path / "rows.parquet"
    found = run_diff(a, b, rows=UPath(rows))
    told = capsys.readouterr().out
    assert max(len(line) for line in told.splitlines() if str(tmp_path.parent) not in line) <= 80
    assert f"lost: {found.lost_rows} rows" in told
    assert "gained" not in told.split(f"{found.lost_rows} rows lost or gained")[0]
    assert "quality_below" in told
    assert "quality.min_quantile" in told
    assert "subsets.0" not in told
    assert "moved from split train to test: " in told
    assert pq.read_metadata(rows).num_rows == found.lost_rows > 0


def test_a_subset_is_the_same_as_itself(curated: CurateReport, capsys: pytest.CaptureFixture[str]) -> None:
    directory = UPath(curated.subsets[0].directory)
    run_diff(directory, directory)
    assert "the same subset, byte for byte: 55 rows" in capsys.readouterr().out


def test_json_is_the_model(curated: CurateReport, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_diff(*(UPath(subset.directory) for subset in curated.subsets), as_json=True)
    assert Difference.model_validate_json(capsys.readouterr().out) == found


def test_a_page_is_written_and_json_stays_json(
    curated: CurateReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (UPath(subset.directory) for subset in curated.subsets)
    page, again = tmp_path / "a.html", tmp_path / "b.html"
    found = run_diff(a, b, page=UPath(page))
    assert f"the page is {page}" in capsys.readouterr().out
    rows = tmp_path / "rows.parquet"
    options = ["--page", str(again), "--rows", str(rows), "--json"]
    answered = CliRunner().invoke(app, ["diff", str(a), str(b), *options])
    assert answered.exit_code == 0
    assert Difference.model_validate_json(answered.stdout).lost == found.lost
    assert pq.read_metadata(rows).num_rows == found.lost_rows
    assert page.read_text("utf-8").count("<svg") == again.read_text("utf-8").count("<svg") == 5


@pytest.mark.parametrize("option", ["--page", "--rows"])
def test_a_folder_is_no_file_to_write(curated: CurateReport, tmp_path: Path, option: str) -> None:
    told = CliRunner().invoke(app, ["diff", *(str(one.directory) for one in curated.subsets), option, str(tmp_path)])
    assert told.exit_code == 2
    assert f"{option}: {tmp_path} is a folder, expected a file" in told.stderr.replace("\n", "")
    assert list(tmp_path.iterdir()) == []
