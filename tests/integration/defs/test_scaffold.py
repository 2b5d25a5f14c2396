"""A module that `dg scaffold defs` makes is part of the code location without another step."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_a_scaffolded_asset_is_found(tmp_path):
    shutil.copytree(
        ROOT / "wordfreq_dagster",
        tmp_path / "wordfreq_dagster",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("pyproject.toml", "workspace.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    dg = Path(sys.executable).with_name("dg")

    def run(*arguments):
        # The modules of the copy come first, before those of this checkout.
        return subprocess.run(
            [str(dg), *arguments],
            cwd=tmp_path,
            env={
                "PATH": f"{dg.parent}:/usr/bin:/bin",
                "PYTHONPATH": str(tmp_path),
                "DAGSTER_HOME": "",
                "WORDFREQ_HOME": str(tmp_path / "home"),
                "HOME": str(tmp_path),
            },
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    before = run("list", "defs", "--json")
    assert '"ranking"' in before and '"sizes"' not in before
    run("scaffold", "defs", "dagster.asset", "sizes.py")
    assert (tmp_path / "wordfreq_dagster/defs/sizes.py").exists()
    assert '"sizes"' in run("list", "defs", "--json")
