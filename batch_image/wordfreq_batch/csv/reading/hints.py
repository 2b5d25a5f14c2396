"""What a CSV that isn't as the settings say looks like, and the settings that would read it. Pure.

Refusals end with it. Each setting is shown as the option of `wordfreq ingest`, ready to be copied,
and as it stands in a settings file (`csv.settings`).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from wordfreq_batch.csv.reading.dialect import DELIMITERS, Dialect, fields_of, likely_delimiter
from wordfreq_batch.text.detect import AUTO

_OPTIONS = frozenset(
    {"columns", "key", "sort-key", "delimiter", "encoding", "header", "extra-columns"}
)
_LATER = 50  # lines that may stand before a header
_COMMENTS = ("#", "//", "--", "%", "!")


def setting_line(name: str, value: object) -> str:
    """One setting as it stands in a settings file."""
    if isinstance(value, Mapping):
        pairs = ", ".join(setting_line(json.dumps(key), text) for key, text in value.items())
        return f"{name} = {{ {pairs} }}"
    return f"{name} = {json.dumps(value, ensure_ascii=False)}"


def setting(**values: str | int | Mapping[str, str]) -> str:
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
    header: Sequence[str],
    columns: Sequence[str],
    dialect: Dialect,
    *,
    others: str,
    later: Iterable[tuple[int, str]] = (),
) -> str:
    """What a first row looks like that doesn't hold the `columns`; empty where it's unclear.

    Args:
        header: the row, its titles renamed as they are set.
        columns: the names that it should have.
        dialect: by which it was read.
        others: what becomes of other columns, see `Schema.extra`.
        later: the lines behind it, with their numbers.
    """
    if not header:
        return ""
    line = (dialect.delimiter if dialect.delimiter in DELIMITERS else ",").join(header)
    mark = next((each for each in _COMMENTS if line.lstrip().startswith(each)), None)
    if mark and not dialect.comment:
        return f"It looks like a comment: {setting(comment=mark)}"
    likely = likely_delimiter(line, columns)
    if likely not in (None, dialect.delimiter) and dialect.delimiter != AUTO:
        return _delimited(likely)
    unquoted = [re.fullmatch(r"\s*'([^']|'')*'\s*", title) for title in header]
    if all(unquoted) and dialect.quote != "'":
        return f"It looks as if fields were in single quotes: {setting(quote='single')}"
    titles = [title.strip() for title in header]
    missing = [each for each in columns if each not in titles]
    alike = {_plain(title): title for title in header if title not in columns}
    renamed = {alike[_plain(each)]: each for each in missing if _plain(each) in alike}
    if renamed:
        return f"Some are spelled otherwise: {setting(rename=renamed)}"
    doubled = len(set(titles)) < len(titles)
    data = _is_data(header)
    twice = doubled and (others == "keep" or any(titles.count(each) > 1 for each in columns))
    if not missing and twice and not data:
        return "Give each column a title of its own. "
    if not missing and "" in titles and others == "keep":
        return f"To name the nameless, {setting(rename={'': f'column {titles.index(str()) + 1}'})}"
    if not missing and others == "refuse":
        return f"To leave the others out, {setting(extra_columns='drop')}"
    wanted = {_plain(each) for each in columns}
    for number, text in islice(later, _LATER if missing else 0):
        if any(wanted <= set(map(_plain, text.split(each))) for each in DELIMITERS):
            return f"Line {number} looks like the header: {setting(skip=number - 1)}"
    if len(header) == 1 and (other := _one_that_splits(line)) not in (None, dialect.delimiter):
        return _delimited(other)
    more = len(header) - len(columns)
    if not missing and doubled and data:
        missing = list(columns)  # by chance it holds their names
    if len(missing) == len(columns) and (more == 0 or (more > 0 and data)):
        names = [*columns, *(f"column {len(columns) + n + 1}" for n in range(more))]
        settings = {"header": ",".join(names)} | _dropped(more, others)
        hint = f"If there is no header, {setting(**settings)}"
        return hint if data or len(header) < 2 else hint + _these(header)
    # A row that goes on in the next line may have fewer; blanks are in every text.
    split = {each: fields_of(line, each) for each in DELIMITERS}
    split = {each: fields for each, fields in split.items() if fields > 1}
    other = min(
        split, key=lambda each: (each == " ", abs(split[each] - len(columns))), default=None
    )
    if other is not None and other != dialect.delimiter:
        return _delimited(other)
    return "Correct the file, or the settings. " + (_these(header) if len(header) > 1 else "")


def _delimited(likely: str | None) -> str:
    name = DELIMITERS[str(likely)]
    return f"It looks as if the delimiter were a {name}: {setting(delimiter=name)}"


def _these(titles: Sequence[str]) -> str:
    """What to set where the titles are right, and the settings are of other files."""
    names = dict.fromkeys(each.strip() for each in titles)
    if len(names) < len(titles) or any(not each or "," in each or ":" in each for each in names):
        return ""
    return f"If these are its columns, {setting(columns=','.join(names))}"


def _dropped(more: int, others: str) -> dict[str, str]:
    """The setting by which so many more columns aren't refused."""
    return {"extra_columns": "drop"} if more > 0 and others == "refuse" else {}


def width_hint(header: Sequence[str], *, line: int, fields: int, others: str) -> str:
    """What to do where the rows have other numbers of fields than the header.

    R writes no title for the names of the rows, others end the header with a delimiter too many.
    `line` is that of the header, `fields` how many the rows have, `others` as in `header_hint`.
    """
    titles = ["row", *header] if fields > len(header) else list(header[:-1])
    plain = not any("," in title for title in titles) and not "".join(header[len(titles) :]).strip()
    if not line or len(titles) != fields or not plain:
        return ""
    more = _dropped(len(titles) - len(header), others)
    names = setting(skip=line, header=",".join(titles), **more)
    return f". The header has a title too {'few' if fields > len(header) else 'many'}: {names}"


def encoding_hint(likely: str) -> str:
    """What to do with a file in another encoding; `likely` is it, or empty."""
    if not likely:
        return "name its encoding, such as cp1252: " + setting(encoding="NAME")
    return f"it looks like {likely}: {setting(encoding=likely)}"


def _is_data(fields: Sequence[str]) -> bool:
    number = re.compile(r"\s*[+-]?[0-9.,]+(?:[eE][+-]?[0-9]+)?\s*")
    numbers = sum(number.fullmatch(each) is not None for each in fields)
    return 2 * numbers >= len(fields)


def _one_that_splits(line: str) -> str | None:
    """The delimiter by which a line is made of numbers, or of quoted fields, and nothing else."""
    for each in DELIMITERS:
        fields = line.split(each)
        quoted = (field[:1] in ("'", '"') and field[-1:] == field[:1] for field in fields)
        if len(fields) > 1 and all(fields) and (_is_data(fields) or all(quoted)):
            return each
    return None


def _plain(title: str) -> str:
    return re.sub(r"[\W_]+", "", title).casefold()
