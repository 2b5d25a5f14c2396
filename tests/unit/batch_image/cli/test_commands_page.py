"""The page of all commands: whatever a help text holds, each option is one row of two cells."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

COMMANDS = Path(__file__).parents[4] / "docs" / "commands.py"


def test_no_help_text_makes_a_cell_or_a_tag() -> None:
    made = runpy.run_path(str(COMMANDS))["page"]()
    rows = [line for line in made.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}
    assert not re.search(r"(?<!\\)<\w", made)
