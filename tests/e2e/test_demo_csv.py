"""`make demo-csv`: items and rejected rows are shown, and nothing is left running."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_loads_its_csvs_and_leaves_no_server(ministack, tmp_path):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("WORDFREQ_", "DAGSTER_"))}
    done = subprocess.run(
        [sys.executable, "-m", "demo.csv_to_dynamodb", "--rows", "300"],
        cwd=ROOT,
        env=clean | {"WORDFREQ_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "table products: 305 items" in done.stdout
    assert re.search(r'P00002 +Television +55" screen\\non a stand +sample\.csv', done.stdout)
    assert re.search(r"P00004 +Better radio .* update\.csv", done.stdout)
    assert "4,the key ProductId is empty" in done.stdout
    port = int(re.search(r"DynamoDB: http://127\.0\.0\.1:(\d+)", done.stdout)[1])
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))
    # the embedded AWS Batch takes its endpoint away when it ends
    assert not (tmp_path / "csv-demo" / "batch" / "endpoint.json").exists()
