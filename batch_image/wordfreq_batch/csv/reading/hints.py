"""What a CSV that isn't as the settings say looks like, and the settings that would read it. Pure.

For `csv.schema` and `csv.reading`, whose refusals end with it. Each setting is shown as the option
of `wordfreq ingest`, ready to be copied, and as it stands in a settings file (`csv.settings`).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence

from wordfreq_batch.csv.reading.dialect import DELIMITERS, Dialect, likely_delimiter

_OPTIONS = frozenset({"delimiter", "encoding", "header", "extra-columns"})
_COMMENTS = ("#", "//", "--", "%", "!")


def setting_line(name: str, value: object) -> str:
    """One setting as it stands in a settings file."""
    if isinstance(value, Mapping):
        pairs = ", ".join(setting_line(json.dumps(key), text) for key, text in value.items())
        return f"{name} = {{ {pairs} }}"
    return f"{name} = {json.dumps(value, ensure_ascii=False)}"


def setting(**values: str | Mapping[str, str]) -> str:
    """How to give these settings: `set --delimiter semicolon (in a settings file: …)`."""
    options, lines = [], []
    for name, value in values.items():
        key = name.replace("_", "-")
        lines.append(setting_line(key, value))
        options += (
            [f"--{key}", str(value)]
            if key in _OPTIONS
            else ["--set", lines[-1].replace(" = ", "=", 1)]
        )
    return f"set {shlex.join(options)} (in a settings file: {'; '.join(lines)}). "


def header_hint(
    header: Sequence[str], columns: Sequence[str], dialect: Dialect, *, others: str
) -> str:
    """What a first row looks like that doesn't hold the `columns`; empty where it's unclear.

    `others` is what becomes of other columns, see `Schema.extra`.
    """
    if not header:
        return ""
    line = (dialect.delimiter if dialect.delimiter in DELIMITERS else ",").join(header)
    mark = next((each for each in _COMMENTS if line.lstrip().startswith(each)), None)
    if mark and not dialect.comment:
        return f"It looks like a comment: {setting(comment=mark)}"
    likely = likely_delimiter(line, columns)
    if likely is not None and likely != dialect.delimiter:
        looks = f"It looks as if the delimiter were a {DELIMITERS[likely]}: "
        return looks + setting(delimiter=DELIMITERS[likely])
    unquoted = [re.fullmatch(r"\s*'(.*)'\s*", title) for title in header]
    if all(unquoted) and dialect.quote != "'":
        return f"It looks as if fields were in single quotes: {setting(quote='single')}"
    missing = [each for each in columns if each not in header]
    alike = {_plain(title): title for title in header if title not in columns}
    renamed = {alike[_plain(each)]: each for each in missing if _plain(each) in alike}
    if renamed:
        return f"Some are spelled otherwise: {setting(rename=renamed)}"
    if not missing and others == "refuse":
        return f"To leave the others out, {setting(extra_columns='drop')}"
    if len(missing) == len(columns) == len(header):
        return f"If there is no header, {setting(header=','.join(columns))}"
    other = next((each for each in DELIMITERS if each in line and len(header) == 1), None)
    if other is not None and len(line.split(other)) == len(columns):
        name = DELIMITERS[other]
        return f"It looks as if the delimiter were a {name}: {setting(delimiter=name)}"
    return "Correct the file, or the settings. "


def encoding_hint(likely: str) -> str:
    """What to do with a file in another encoding; `likely` is it, or empty."""
    if not likely:
        return "name its encoding, such as cp1252: " + setting(encoding="NAME")
    return f"it looks like {likely}: {setting(encoding=likely)}"


def _plain(title: str) -> str:
    return re.sub(r"[\W_]+", "", title).casefold()
