"""The texts of `make demo`: documentation that installed packages bring, a folder per subject.

Prose from botocore (what each operation of some AWS services does), from Python (the language
reference) and from Dagster (docstrings). The same packages give the same files.
"""

from __future__ import annotations

import ast
import html
import importlib.util
import re
import shutil
from collections.abc import Iterator
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

_SERVICES = ("athena", "batch", "dynamodb", "ecs", "glue", "lambda", "s3", "sqs")
_TAG = re.compile(r"<[^>]+>")
_ADDRESS = re.compile(r"https?://\S+")


def gather_texts(folder: Path, *, most: int) -> int:
    """Write up to `most` texts into `folder`, as many of each subject; returns how many.

    An existing folder is left as it is: it is the user's to change, so that the next run has
    something to notice.
    """
    if folder.exists():
        return sum(1 for path in folder.rglob("*") if path.is_file())
    building = folder.with_name(folder.name + ".new")
    shutil.rmtree(building, ignore_errors=True)
    subjects = [*(_service(name) for name in _SERVICES), _python(), _dagster()]
    mixed = filter(None, chain.from_iterable(zip_longest(*subjects)))
    written = 0
    for name, text in islice(mixed, most):
        (building / name).parent.mkdir(parents=True, exist_ok=True)
        (building / name).write_text(text, encoding="utf-8")
        written += 1
    building.rename(folder)
    return written


def _service(name: str) -> Iterator[tuple[str, str]]:
    """What each operation of an AWS service does, and each member of its request and answer."""
    from botocore.loaders import Loader

    model = Loader().load_service_model(name, "service-2")
    for operation, described in sorted(model["operations"].items()):
        texts = [described.get("documentation", "")]
        for shape in (described.get("input"), described.get("output")):
            members: dict[str, Any] = model["shapes"][shape["shape"]]["members"] if shape else {}
            texts += [member.get("documentation", "") for member in members.values()]
        plain = (_plain(text) for text in texts if text)
        yield f"{name}/{operation}.txt", "\n\n".join(plain) + "\n"


def _plain(text: str) -> str:
    return _ADDRESS.sub("", html.unescape(_TAG.sub(" ", text))).strip()


def _python() -> Iterator[tuple[str, str]]:
    """The topics of Python's `help()`."""
    from pydoc_data.topics import topics

    for name, text in sorted(topics.items()):
        yield f"python/{name}.txt", text


def _dagster() -> Iterator[tuple[str, str]]:
    """The docstrings of the modules that define assets, jobs, sensors and the like."""
    found = importlib.util.find_spec("dagster")
    assert found is not None and found.origin is not None
    root = Path(found.origin).parent / "_core" / "definitions"
    for path in sorted(root.rglob("*.py")):
        tree = ast.parse(path.read_bytes())
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
        texts = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
        if prose := "\n\n".join(filter(None, texts)):
            name = path.relative_to(root).with_suffix(".txt").as_posix()
            yield f"dagster/{name}", prose + "\n"
