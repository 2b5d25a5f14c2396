"""What developing and releasing go by: pins, versions, and what CI's script installs."""

import re
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.10.13", "3.11.7", "3.12.1", "3.13.0", "3.14.0")


def wanted_python(pinned):
    """What this very version says of Python; None where another or none is installed here."""
    try:
        found = distribution(pinned.name)
    except PackageNotFoundError:
        return None
    return found.metadata["Requires-Python"] if found.version in pinned.specifier else None


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_no_pin_is_of_a_version_that_a_python_cannot_have(name):
    lines = (ROOT / f"{name}.txt").read_text("utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    checked = 0
    for pinned in pins:
        if wants := wanted_python(pinned):
            checked += 1
            for python in PYTHONS:
                here = {"python_full_version": python, "python_version": python[:4]}
                if pinned.marker is None or pinned.marker.evaluate(here):
                    assert python in SpecifierSet(wants), f"{pinned} with Python {python}"
    assert checked > 50


def test_the_pages_say_for_which_pythons_the_project_is():
    wants = (ROOT / "pyproject.toml").read_text("utf-8").partition("requires-python = ")[2]
    assert wants.startswith('">=3.10,<3.15"')
    for page in ("README.md", "CONTRIBUTING.md", "Makefile"):
        assert "Python 3.10 to 3.14" in (ROOT / page).read_text("utf-8"), page


@pytest.mark.parametrize(
    "places",
    [
        ("pyproject.toml", "infra/dagster/Dockerfile"),
        (
            "batch_image/pyproject.toml",
            "batch_image/wordfreq_batch/__init__.py",
            "batch_image/Dockerfile",
        ),
    ],
)
def test_a_version_is_the_same_in_all_its_places(places):
    """So that neither an image's label nor `wordfreq --version` stays behind in a release."""
    pattern = r'^(?:version = "|__version__ = "|ARG VERSION=)([^"\n]+)'
    found = {name: re.findall(pattern, (ROOT / name).read_text("utf-8"), re.M) for name in places}
    assert len({tuple(versions) for versions in found.values()}) == 1, found
    guide = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert all(len(found[name]) == 1 and f"`{name}`" in guide for name in places)


@pytest.fixture
def ci(tmp_path):
    """`.ci/run` on a machine that lacks everything; returns what was called and the exit code."""
    programs = tmp_path / "bin"
    programs.mkdir()
    copies = {".ci/run": (ROOT / ".ci" / "run").read_text("utf-8")}
    says = "#!/bin/bash\necho $(/usr/bin/basename $0) $* >>$CALLS\n"
    copies["batch_image/kernel/fuzz/run.sh"] = copies["bin/apt-get"] = copies["bin/make"] = says
    copies["bin/id"] = "#!/bin/bash\necho 1000\n"
    copies["bin/dirname"] = f"#!/bin/bash\necho {tmp_path}/.ci\n"

    def run(**more):
        for name, text in (copies | more).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            path.chmod(0o755)
        calls = tmp_path / "calls"
        done = subprocess.run(
            ["/bin/bash", tmp_path / ".ci" / "run"],
            env={"PATH": str(programs), "CALLS": str(calls)}, capture_output=True, text=True,
        )  # fmt: skip
        return calls.read_text("utf-8"), done.returncode

    return run


def test_ci_goes_on_without_the_right_to_install(ci):
    called, code = ci()
    assert code == 0
    assert called.splitlines()[0] == "make setup emulators"
    assert "apt-get" not in called
    assert "run.sh 10" in called


def test_ci_installs_by_sudo_what_is_missing(ci):
    sudo = '#!/bin/bash\n[ "$1" = env ] && shift 2\n[ "$1" = true ] || "$@"\n'
    called, code = ci(**{"bin/sudo": sudo})
    assert code == 0
    assert called.startswith("apt-get update -qq\napt-get install -y")
