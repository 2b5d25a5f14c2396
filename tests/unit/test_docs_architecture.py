"""The diagrams of the architecture page, compared with the code; the guide's pipeline, run."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg

from tests.unit.test_architecture import MODULES, _imports
from wordfreq_dagster.definitions import build_definitions
from wordfreq_dagster.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
_DIAGRAMS = re.findall(
    r"^```mermaid\n(.*?)^```", (ROOT / "docs" / "architecture.md").read_text("utf-8"), re.M | re.S
)


def arrows(diagram):
    return set(re.findall(r"(\w+) --> (\w+)", diagram))


def test_the_arrows_of_the_assets_are_those_of_the_definitions(tmp_path):
    definitions = build_definitions(Settings(home=str(tmp_path), csv_table="products"))
    graph = definitions.resolve_asset_graph()
    assert arrows(_DIAGRAMS[0]) == {
        (parent.to_user_string(), key.to_user_string())
        for key in graph.get_all_asset_keys()
        for parent in graph.get(key).parent_keys
    }


def test_the_arrows_of_the_parts_are_the_imports():
    def part(module):
        top, _, rest = module.partition(".")
        return rest.partition(".")[0] if top == "wordfreq_dagster" else top

    shown = {name for pair in arrows(_DIAGRAMS[1]) for name in pair}
    found = {
        (part(module), part(imported)) for module in MODULES for imported in _imports(module)
    } | {("definitions", "defs")}  # it loads what is there, by Dagster
    assert arrows(_DIAGRAMS[1]) == {
        (one, other) for one, other in found if {one, other} <= shown and one != other
    }


def test_the_figures_are_about_those_of_the_code():
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    shown = re.findall(r"^\| `(\w+)` \| (\d+) \| ([\d,]+) \| (\d+) \| \d+ \|$", page, re.M)
    assert len(shown) == 5
    for part, *figures in shown:
        paths = [path for module, path in MODULES.items() if module.partition(".")[0] == part]
        lines = sum(len(path.read_text("utf-8").splitlines()) for path in paths)
        for figure, found in zip(
            figures, (len(paths), lines, len({path.parent for path in paths})), strict=True
        ):
            assert abs(int(figure.replace(",", "")) - found) <= found / 10, (part, figure, found)


def test_the_pipeline_of_the_guide_is_short_and_runs(tmp_path, monkeypatch):
    guide = (ROOT / "docs" / "extend.md").read_text("utf-8")
    code = re.search(r"^```python\n(.*?)^```", guide, re.M | re.S)[1]
    assert len(code.splitlines()) < 60
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "wordfreq_dagster", tmp_path / "wordfreq_dagster", ignore=ignored)
    for name in ("pyproject.toml", "workspace.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "wordfreq_dagster" / "defs" / "folder_sizes.py").write_text(code, "utf-8")
    source = tmp_path / "home" / "source"
    for name, length in (("a/x.txt", 5), ("a/y.txt", 7), ("b/c/z.txt", 30), ("top.txt", 1)):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(b"x" * length)
    instance = tmp_path / "dagster"
    instance.mkdir()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("WORDFREQ_", "DAGSTER_"))}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dg")), "launch", "--job", "source_sizes"],
        cwd=tmp_path,
        env=clean
        | {
            "PYTHONPATH": str(tmp_path),
            "DAGSTER_HOME": str(instance),
            "WORDFREQ_HOME": str(tmp_path / "home"),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.setenv("DAGSTER_HOME", str(instance))
    with dg.DagsterInstance.get() as found:
        event = found.get_latest_materialization_event(dg.AssetKey("folder_sizes"))
    rows = [
        json.loads(json.dumps(dict(record.data)))
        for record in event.asset_materialization.metadata["folders"].value.records
    ]
    assert rows == [
        {"folder": "b/c", "files": 1, "bytes": 30},
        {"folder": "a", "files": 2, "bytes": 12},
        {"folder": "(top)", "files": 1, "bytes": 1},
    ]
