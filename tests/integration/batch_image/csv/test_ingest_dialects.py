"""CSVs as they are found: each is loaded cell by cell, or refused with the setting that loads it.

A round loads all files of a folder as one plan. What a refusal names goes into the settings file,
as it stands in the message, and the next round loads the file by it.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
import subprocess
import sys
import zipfile
from collections import Counter, defaultdict
from itertools import product

import duckdb
import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

COLUMNS = ("Id", "Name", "Note", "Price")
ROWS = 24

TEXTS = {
    "utf-8": ["Größe, naïve", "東京 — Москва", "emoji 😀"],
    "utf-8-sig": ["Größe, naïve", "東京 — Москва", "emoji 😀"],
    "utf-16": ["Größe, naïve", "東京 — Москва", "emoji 😀"],
    "utf-16-le": ["Die Größe der Tür", "façade à côté", "año y mañana"],
    "cp1252": ["Die Größe der Tür ist natürlich schön", "où est la façade à côté", "10 € für alle"],
    "cp1250": [
        "Žluťoučký kůň úpěl ďábelské ódy",
        "příliš mnoho řek v Čechách",
        "zażółć gęślą jaźń",
    ],
    "cp1251": ["Москва и Санкт-Петербург", "съешь ещё этих мягких булок", "на разных реках России"],
    "shift_jis": ["東京は日本の首都です", "カタカナとひらがなを書きます", "会議は明日の午後です"],
    "gb18030": ["北京是中国的首都", "上海是最大的城市和港口", "我们明天下午开会"],
    "cp949": ["서울은 대한민국의 수도이다", "부산은 큰 항구 도시이다", "내일 오후에 회의가 있다"],
}
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}


def _header(kind, row):
    return {
        "as set": row,
        "other spelling": [title.lower().replace("note", "n_o_t_e") for title in row],
        "none": None,
        "one more": [*row, "Colour"],
    }[kind]


def generated():
    """Files by name, and the cells that their rows have, by the row's key."""
    for number, (encoding, delimiter, kind) in enumerate(
        product(TEXTS, DELIMITERS, ("as set", "other spelling", "none", "one more"))
    ):
        chooser = random.Random(number)
        name = f"{number:03}-{encoding}-{delimiter}-{kind.replace(' ', '_')}.csv"
        mark = DELIMITERS[delimiter]
        rows = {}
        for row in range(ROWS):
            texts = TEXTS[encoding]
            note = chooser.choice(["", f'a "quoted" {mark} one', "two\nlines", " blanks ", "x"])
            rows[f"{number}-{row}"] = [
                f"{number}-{row}",
                chooser.choice(texts),
                note + (chooser.choice(texts) if note else ""),
                chooser.choice(["1.50", "", "-3", "1e3"]),
            ]
        buffer = io.StringIO(newline="")
        quoting = chooser.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        writer = csv.writer(
            buffer,
            delimiter=mark,
            lineterminator=chooser.choice(["\n", "\r\n"]),
            quoting=quoting,
        )
        header = _header(kind, COLUMNS)
        if header is not None:
            writer.writerow(header)
        more = ["red"] if kind == "one more" else []
        writer.writerows([[*row, *more] for row in rows.values()])
        text = buffer.getvalue()
        if number % 7 == 0 and header is not None:
            text = "# made by another program\n" + text
        yield name, text.encode(encoding), rows


def _rounds(database, table, files, settings, *, own=None, rounds=6):
    """Load until nothing is refused for want of a setting.

    `own` are settings of single files, by name and key. Returns the refusals of each file, those of
    the last round, the receipts' figures by file, and what the refusals made of `own`.
    """
    inbox = database.wordfreq.folder / "in"
    inbox.mkdir()
    for name, content in files.items():
        (inbox / name).write_bytes(content)
    refused = {}
    own = {name: dict(lines) for name, lines in (own or {}).items()}
    read = {}
    for number in range(rounds):
        tables = "".join(
            f'[prefix."{name}"]\n' + "".join(f"{k} = {v}\n" for k, v in lines.items())
            for name, lines in own.items()
        )
        path = database.wordfreq.folder / "s.toml"
        path.write_text(settings + tables, encoding="utf-8")
        plan = f"p{number}.json"
        database.wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", plan, "--pack", "1GiB")
        ran = database.wordfreq(
            *("ingest", "-p", plan, "-i", "0", "-t", table),
            *("--settings", "s.toml", "--write", "always"),
        )
        assert ran.code in (0, 4), ran.err
        (path,) = database.wordfreq.folder.glob(f"p{number}/*/ingest-00000.json")
        items = json.loads(path.read_bytes())["Items"]
        read |= {each["Name"]: each["Rows"] for each in items if "Rows" in each}
        failed = {each["Name"]: each["Error"] for each in items if each["Error"]}
        hinted = False
        for name, error in failed.items():
            refused.setdefault(name, []).append(error)
            if match := re.search(r"\(in a settings file: (.*?)\)\. ", error):
                for line in match[1].split("; "):
                    key, _, value = line.partition(" = ")
                    hinted = hinted or own.get(name, {}).get(key) != value
                    own.setdefault(name, {})[key] = value
        if not hinted:
            break
    return refused, failed, read, own


def test_generated_files_are_loaded_cell_by_cell_by_the_settings_that_refusals_name(database):
    table = database.table("Id")
    made = list(generated())
    assert len(made) >= 60
    settings = 'columns = "Id,Name,Note,Price:number"\nkey = "Id"\n'
    files = {name: content for name, content, _ in made}
    refused, failed, read, _ = _rounds(database, table, files, settings)
    assert failed == {}
    items = {item["Id"]["S"]: item for item in database.items(table)}
    expected = {key: row for _, _, rows in made for key, row in rows.items()}
    assert set(items) == set(expected)
    numbers = {"1.50": "1.5", "1e3": "1000"}
    wrong = []
    for key, row in expected.items():
        item = items[key]
        price = item.get("Price", {}).get("N", "")
        cells = [item["Id"]["S"], item["Name"]["S"], item["Note"]["S"], price]
        if cells != [*row[:3], numbers.get(row[3], row[3])]:
            wrong.append((item["Filename"]["S"], row, cells))
    assert not wrong, wrong[:5]
    assert sum(rows["Read"] for rows in read.values()) == len(expected)
    print(
        f"\n{len(made)} files, {len(expected)} rows: {len(made) - len(refused)} loaded as set, "
        f"{len(refused)} by settings that {sum(map(len, refused.values()))} refusals named; "
        "0 wrong cells"
    )


PACKAGES = ("statsmodels", "vega_datasets")


@pytest.fixture(scope="module")
def package_csvs(tmp_path_factory):
    """Small CSVs out of packages of PyPI, by name."""
    folder = tmp_path_factory.mktemp("packages")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*command, "--only-binary", ":all:", "--dest", str(folder), *PACKAGES],
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        pytest.skip(f"no package index: {done.stderr[-300:]}")
    found = {}
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                if info.filename.endswith(".csv") and 100 < info.file_size < 12_000:
                    found[info.filename.replace("/", "_")] = archive.read(info)
    return found


def _by_another_reader(path, settings):
    """The rows as DuckDB reads them; those with other numbers of fields are left out."""
    value = {key: tomllib.loads(f"x = {text}")["x"] for key, text in settings.items()}
    delimiter = {**DELIMITERS, "blank": " "}[value.get("delimiter", "comma")]
    text = path.read_bytes().decode(value.get("encoding", "utf-8-sig"))
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[value.get("skip", 0) :]
    lines = [line for line in lines if not line.startswith(value.get("comment", "\0"))]
    copy = path.with_suffix(".utf-8")
    copy.write_text("\n".join(lines), encoding="utf-8", newline="")
    quote = "'" if value.get("quote") == "single" else '"'
    header = value["header"].split(",") if "header" in value else None
    first = header or next(csv.reader(lines[:1], delimiter=delimiter, quotechar=quote))
    columns = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(len(first)))
    mark = quote.replace("'", "''")
    options = f"delim='{delimiter}', header=false, quote='{mark}', escape='{mark}', "
    options += f"auto_detect=false, ignore_errors=true, columns={{{columns}}}"
    rows = duckdb.sql(f"SELECT * FROM read_csv('{copy}', {options})").fetchall()
    rows = [tuple(cell or "" for cell in row) for row in rows]
    titles = header or [title.strip() for title in rows.pop(0)]
    rename = value.get("rename", {})
    return [rename.get(title, title) for title in titles], rows


# Whose first line has no title of a column.
KNOWN = {"statsmodels_datasets_macrodata_src_unemp.csv": "Series id"}


def test_files_of_packages_hold_in_the_table_what_another_reader_reads(database, package_csvs):
    chosen = dict(random.Random(4).sample(sorted(package_csvs.items()), 60))
    table = database.table("Row")
    # What is known of a file is one of its titles; all else is kept.
    own = {}
    for name, content in chosen.items():
        first = content.decode("latin-1").lstrip("\ufeffï»¿").splitlines()[0]
        title = next((t for t in re.findall(r"[A-Za-z_][\w. ]*", first) if t.strip()), "x").strip()
        own[name] = {
            "columns": json.dumps([KNOWN.get(name, title)]),
            "extra-columns": '"keep"',
            "generate": '{ Row = "row" }',
        }
    settings = 'columns = "x"\nkey = "Row"\ngenerate = { Row = "row" }\n'
    refused, failed, _, own = _rounds(database, table, chosen, settings, own=own)
    there = defaultdict(list)
    for item in database.items(table):
        there[item["Filename"]["S"]].append(item)
    cells, report = 0, []
    for name in sorted(chosen):
        by = "; ".join(f"{key} = {text[:60]}" for key, text in list(own[name].items())[3:])
        report.append(f"{name}: {failed.get(name, 'loaded ' + (f'by {by}' if by else 'as set'))}")
        if name in failed:
            continue
        titles, rows = _by_another_reader(database.wordfreq.folder / "in" / name, own[name])
        found = Counter(
            tuple(next(iter(item.get(title, {"S": ""}).values())) for title in titles)
            for item in there[name]
        )
        expected = Counter(row for row in rows if any(cell.strip() for cell in row))
        assert found == expected, (name, by)
        cells += sum(len(row) for row in rows)
    print(
        "",
        *report,
        f"{len(chosen)} files of packages: {len(chosen) - len(failed)} loaded and compared, "
        f"{len(refused)} of them by settings that refusals named; {cells:,} cells as DuckDB reads "
        "them, 0 wrong",
        sep="\n",
    )
    assert failed == {}
