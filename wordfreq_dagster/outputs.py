"""The settings of a deployment, read from the file that `cdk deploy --outputs-file` writes.

`settings` loads it where WORDFREQ_OUTPUTS names it. `python -m wordfreq_dagster outputs FILE`
prints it as `export WORDFREQ_…=…` lines, for a shell or an env file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

MARK = "Wordfreq"


class OutputsError(ValueError):
    """The file can't be used; the message names it and the next step."""


def output_name(setting: str) -> str:
    """How the deployment calls the output for a setting: `batch_queue`, `WordfreqBatchQueue`."""
    return MARK + "".join(part.title() for part in setting.split("_"))


def read_outputs(path: Path, settings: Iterable[str]) -> dict[str, str]:
    """The settings that the file holds, whatever its stacks are called.

    The format: `{"<stack>": {"<output>": "<value>"}}`. Outputs that are no settings are ignored.

    Raises:
        OutputsError: no such file, not that format, two values for one setting, or no setting.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OutputsError(f"{path} isn't there; `make deploy` writes it") from None
    except (OSError, ValueError) as error:
        raise OutputsError(f"{path} can't be read: {error}") from None
    if not isinstance(document, dict):
        raise OutputsError(f"{path} holds no outputs of a deployment; `make deploy` writes it")
    names = {output_name(setting): setting for setting in settings}
    found: dict[str, str] = {}
    for outputs in document.values():
        for name, value in outputs.items() if isinstance(outputs, Mapping) else ():
            setting = names.get(name)
            if setting is None:
                continue
            if found.setdefault(setting, str(value)) != str(value):
                raise OutputsError(f"{path} holds two deployments that differ in {name}; keep one")
    if not found:
        raise OutputsError(f"{path} holds no setting of this project; `make deploy` writes it")
    return found
