"""The ten questions, asked of a small subset: DuckDB and Polars give the same rows, and there are some."""

import ast
import json
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from pages import ROOT, Block, blocks, here


def evaluate(code: str, names: dict[str, Any]) -> Any:
    """Run ``code``; return what its last line, an expression, gives."""
    *before, last = ast.parse(code).body
    assert isinstance(last, ast.Expr)
    exec(compile(ast.Module(before, []), "<page>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<page>", "eval"), names)


def test_both_engines_give_the_same_rows(world: Path) -> None:
    page: list[Block] = blocks(ROOT / "docs" / "questions.md")
    assert [block.language for block in page] == ["sql", "python"] * 11
    run = world / "data" / "curated" / "high-quality" / "run.json"
    former = json.loads(run.read_text())["recipe"]["workspace"].removesuffix("/workspace")
    run.write_text(run.read_text().replace(former, str(world / "data")))  # the world is a copy
    database, names = duckdb.connect(), dict[str, Any]()
    database.execute(here(page[0].text, world))
    exec(here(page[1].text, world), names)
    for sql, python in zip(page[2::2], page[3::2], strict=True):
        one = database.sql(sql.text)
        other = evaluate(python.text, names)
        assert isinstance(other, pl.DataFrame), python
        assert other.columns == one.columns, sql
        expected = one.fetchall()
        assert expected, f"{sql}: no row"
        assert [pytest.approx(row) for row in expected] == other.rows(), sql
