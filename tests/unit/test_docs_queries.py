"""The SQL of the page about rankings, run on a file as the merge writes it."""

import re
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).resolve().parents[2]
QUERIES = re.findall(
    r"^```sql\n(.*?)^```", (ROOT / "docs" / "rankings.md").read_text("utf-8"), re.M | re.S
)
EXPECTED = [
    [(7,)],
    [("elephant", 9)],
    [(100.0,)],
    [(1,)],
    [("elephant", 4), ("license", 0), ("cat", -1)],
]


@pytest.fixture
def totals(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("before").mkdir()
    for path, rows in (
        ("totals.parquet", "('elephant', 9), ('license', 7), ('cat', 1)"),
        ("before/totals.parquet", "('elephant', 5), ('license', 7), ('cat', 2)"),
    ):
        duckdb.sql(f"COPY (SELECT * FROM (VALUES {rows}) t(word, count)) TO '{path}'")


@pytest.mark.parametrize(("query", "rows"), list(zip(QUERIES, EXPECTED, strict=True)))
def test_a_query_of_the_page(totals, query, rows):
    assert duckdb.sql(query).fetchall() == rows
