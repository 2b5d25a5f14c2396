"""The guide to a table of one's own, in the docs, as a reader would type it: on two emulators."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.skipif(shutil.which("iconv") is None, reason="the guide needs iconv")
def test_a_table_of_ones_own_from_zero_by_the_guide(either):
    page = (ROOT / "docs" / "csv-to-dynamodb.md").read_text(encoding="utf-8")
    section = page.split("## Your own table, from zero\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 3
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
        cwd=either.wordfreq.folder,
        env=clean
        | either.server.environment
        | {"PATH": path, "AWS_PAGER": "", "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing was written" in done.stdout
    assert "4 rows read, 4 items written to orders, 0 rejected" in done.stdout
    items = {(i["OrderNo"]["N"], i["Line"]["N"]): i for i in either.items("orders")}
    assert set(items) == {("1001", "1"), ("1001", "2"), ("1002", "1"), ("1003", "1")}
    first = items["1001", "1"]
    assert first["Customer"] == {"S": "Müller"}
    assert first["Price"] == {"N": "1249.5"}
    assert first["Expires"] == {"N": "1830211200"}  # 2027-12-31 00:00 UTC
    assert "Customer" not in items["1003", "1"]
    index = either.dynamodb.query(
        TableName="orders",
        IndexName="by-price",
        KeyConditionExpression="Customer = :c AND Price > :p",
        ExpressionAttributeValues={":c": {"S": "Müller"}, ":p": {"N": "100"}},
    )
    assert [item["Price"]["N"] for item in index["Items"]] == ["1249.5"]
    either.dynamodb.delete_table(TableName="orders")
