"""The AWS SDK for JavaScript."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def test_the_sdk_for_javascript(desk: Any) -> None:
    if shutil.which("node") is None or not (HERE / "node_modules").is_dir():
        pytest.skip("the SDK for JavaScript is not installed: run `make clients` with npm")
    assert "all right" in desk.run("node", str(HERE / "client.mjs"))
