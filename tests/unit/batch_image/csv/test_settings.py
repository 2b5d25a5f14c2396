"""Settings of CSVs: what options, `--set` and a TOML file say, and what can't be meant."""

from __future__ import annotations

import pytest

from wordfreq_batch.csv.items import ItemBuilder
from wordfreq_batch.csv.reading.dialect import Dialect, likely_delimiter
from wordfreq_batch.csv.reading.hints import width_hint
from wordfreq_batch.csv.reading.rows import Row, read_rows
from wordfreq_batch.csv.schema import Schema
from wordfreq_batch.csv.settings import Settings, set_option
from wordfreq_batch.csv.values import BadRowError, size_of, value_of
from wordfreq_batch.errors import DataError, UsageError

TWO = """
columns = ["Sku", "Price:number"]
key = "Sku"
[rename]
"Article No" = "Sku"
[prefix."excel/"]
delimiter = "semicolon"
decimal = "comma"
encoding = "cp1252"
[prefix."excel/old/"]
delimiter = "tab"
"""


def item(schema: Schema, *cells: str, header: list[str] | None = None, line: int = 2) -> dict:
    header = [column.name for column in schema.columns] if header is None else header
    layout = schema.layout(header, name="x.csv")
    builder = ItemBuilder(schema, layout, filename="x.csv", last_modified="2026-01-01T00:00:00Z")
    found = dict(builder.item(Row(line, list(cells), [])).attributes)
    return {k: v for k, v in found.items() if k not in ("Filename", "LastModified")}


def test_the_longest_prefix_of_a_file_says_how_it_is_read():
    settings = Settings.parse({"columns": "Ignored"}, TWO, name="s.toml")
    assert settings.schema("a.csv").dialect.delimiter == ","
    assert settings.schema("excel/a.csv").dialect.delimiter == ";"
    assert settings.schema("excel/a.csv").dialect.decimal == ","
    assert settings.schema("excel/old/a.csv").dialect.delimiter == "\t"
    assert settings.schema("excel/old/a.csv").dialect.encoding == "utf-8"
    assert {schema.key for schema in settings.schemas} == {"Sku"}
    assert item(
        settings.schema("excel/a.csv"), "7", "1.234,50", header=["Article No", "Price"]
    ) == {
        "Sku": {"S": "7"},
        "Price": {"N": "1234.5"},
    }


def test_what_was_loaded_before_there_were_settings_is_still_known():
    plain = Schema.parse(columns="ProductId,ProductName,ProductDescription", key="ProductId")
    assert Settings.parse({}).version("t") == plain.version("t") == "csv1-bf407e5366d58b17"


@pytest.mark.parametrize(
    "change",
    [
        'quote = "single"',
        'decimal = "comma"',
        'empty = "null"',
        'rename = { A = "B" }',
        'generate = { Id = "row" }',
        'ttl = "Expires=ProductName+1d"',
        '[prefix."a/"]\ndelimiter = "tab"',
    ],
)
def test_every_setting_that_gives_other_items_is_part_of_the_version(change):
    assert Settings.parse({}, change).version("t") != Settings.parse({}).version("t")


def test_a_version_is_that_of_the_files_own_prefix():
    one = Settings.parse({"columns": "Ignored"}, TWO, name="s.toml")
    other = Settings.parse({"columns": "Ignored"}, TWO.replace('"tab"', '"pipe"'), name="s.toml")
    for name, same in [("a.csv", True), ("excel/a.csv", True), ("excel/old/a.csv", False)]:
        assert (one.version_of(name, "t") == other.version_of(name, "t")) is same, name
    assert one.version("t") != other.version("t")
    assert one.version_of("a.csv", "t") != one.version_of("a.csv", "t", absent=True)


@pytest.mark.parametrize(
    ("path", "delimiter"),
    [
        ("a.csv", ","),
        ("excel/a.csv", ";"),
        ("data/inbox/excel/a.csv", ";"),
        ("data/excel/old/a.csv", "\t"),
        ("data/noexcel/a.csv", ","),
    ],
)
def test_a_single_file_is_below_a_prefix_wherever_the_uploads_lie(path, delimiter):
    settings = Settings.parse({"columns": "Ignored"}, TWO, name="s.toml")
    assert settings.schema_of_path(path).dialect.delimiter == delimiter


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("delimiter = ';", "is no TOML"),
        ('delimeter = "tab"', "delimeter is no setting; there are key"),
        ('delimiter = "x"', "the delimiter 'x' is none of"),
        ("delimiter = 7", "delimiter must be a text"),
        ('encoding = "klingon"', "the encoding 'klingon' isn't known"),
        ('quote = ","', "must be different characters"),
        ('comment = ","', "must be different characters"),
        ("comment = '\"'", "must be different characters"),
        ("comment = '\\\\x'\nescape = 'backslash'", "must be different characters"),
        ('quote = "ab"', "is no character"),
        ('header = "X,Y"', "header: 'ProductId' is missing; "),
        ('header = "ProductId,ProductName,ProductDescription,ProductId"', "is there twice; name"),
        ('header = "ProductId,ProductName,ProductDescription,X"', "or set extra-columns"),
        ('ttl = "E=ProductName"\ndate-format = "%Q"', "no date can be read by '%Q'"),
        ('ttl = "E=ProductName"\ndate-format = "%d.%d"', "no date can be read by '%d.%d'"),
        ('date-format = "%d.%m.%Y"', "set ttl too"),
        ('ttl = "E=ProductName"\n[prefix."a/"]\nttl = ""\ndate-format = "%d"', "set ttl too"),
        ('decimal = "x"', "neither point nor comma"),
        ('empty = "gone"', "empty must be one of keep, absent, null"),
        ('columns = "A:text"', "'A:text' is no column"),
        ('rename = ["a"]', "rename must be a table of texts"),
        ('generate = { Id = "uuid" }', "write row or hash:COLUMNS"),
        ('generate = { Id = "hash:Nope" }', "'Nope' is none of the columns"),
        ('generate = { ProductId = "row" }', "can't be generated: the items have it"),
        ('ttl = "ProductName"', "write ATTRIBUTE=COLUMN"),
        ('ttl = "Filename=ProductName"', "can't be generated: the items have it"),
        ('[prefix."a/"]\nkey = "ProductName"', "all prefixes share the table and so its key"),
        ('[prefix]\na = "b"', "is no table of settings"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_named(text, says):
    with pytest.raises(UsageError, match=r"s\.toml") as caught:
        Settings.parse({}, text, name="s.toml")
    assert says in str(caught.value)


def test_a_date_format_may_be_that_of_prefixes_and_have_a_zone():
    text = 'date-format = "%Y%m%d %z"\n[prefix."a/"]\nttl = "E=ProductName"'
    (_, schema) = Settings.parse({}, text, name="s.toml").prefixes[0]
    assert schema.ttl is not None and schema.ttl.seconds("19700101 +0000") == "0"


@pytest.mark.parametrize(
    ("text", "columns", "says"),
    [
        ("Account 12\nof 2026\n\nDay;Amount\n1;2\n", "Day,Amount", "skip = 3"),
        ("'a' 'b'\n'1' '2'\n", "a", 'delimiter = "blank"'),
        ("1.5 0.2\n1 2\n", "x", 'delimiter = "blank"'),
        ("1,1,NaN\n2,3,4\n", "NaN", 'header = "NaN,column 2,column 3"'),
        ("1,1,2\n2,3,4\n", "a", 'header = "a,column 2,column 3"'),
        ("a b\n", "a,b", 'delimiter = "blank"'),
        ("nothing\n1\n", "a,b", "Correct the file"),
        ("Name,Day\nx,y\n", "a,b", "If these are its columns, set --columns Name,Day"),
        ("Name,Day,More\nx,y\n", "a,b", "If these are its columns, set --columns Name,Day,More"),
    ],
)
def test_a_refused_header_says_which_setting_would_read_the_file(text, columns, says):
    schema = Schema.parse(columns=columns, key=columns.split(",")[0], extra="keep")
    header, *later = read_rows([text.encode()], name="f.csv", columns=schema.titles)
    with pytest.raises(DataError) as caught:
        schema.layout(header.fields, name="f", later=((each.line, each.text) for each in later))
    assert says in str(caught.value)


def test_what_auto_has_found_is_not_advised_against():
    schema = Schema.parse(columns="a", key="a", dialect=Dialect(delimiter="auto"))
    (header,) = read_rows([b"a;b\n"], name="f.csv", dialect=schema.dialect, columns=schema.titles)
    with pytest.raises(DataError, match="To leave the others out, set --extra-columns drop"):
        schema.layout(header.fields, name="f")


def test_auto_finds_the_delimiter_of_a_file_without_header_by_its_fields():
    dialect = Dialect(delimiter="auto", header=("a", "b", "c"))
    text = b'1;"x;y";1.249,50\n'
    (row,) = read_rows([text], name="f.csv", dialect=dialect, columns=dialect.header)
    assert row.fields == ["1", "x;y", "1.249,50"]
    assert likely_delimiter("a\rb", ["c"], fields=2) is None


@pytest.mark.parametrize(
    ("header", "fields", "says"),
    [
        (["a", "b"], 3, 'skip = 4; header = "row,a,b"; extra-columns = "drop")'),
        (["a", "b", " "], 2, '(in a settings file: skip = 4; header = "a,b")'),
        (["a", "b"], 4, None),
        (["a", "b"], 1, None),
        (["a,b", "c"], 3, None),
    ],
)
def test_a_title_too_few_or_too_many_is_explained(header, fields, says):
    hint = width_hint(header, line=4, fields=fields, others="refuse")
    assert says in hint if says else hint == ""


def test_lines_before_the_header_are_left_out_and_counted():
    text = b'\xef\xbb\xbfa "quote\n\n' + b"x" * (2 << 20) + b"\na;b\n1;2\n"
    dialect = Dialect(delimiter="auto", skip=3)
    rows = list(read_rows([text], name="f", dialect=dialect, columns=["a", "b"]))
    assert [(row.line, row.fields) for row in rows] == [(4, ["a", "b"]), (5, ["1", "2"])]
    assert list(read_rows([b"a\n"], name="f", dialect=dialect)) == []


def test_set_takes_toml_and_plain_texts():
    assert set_option('rename={"a b"="c"}') == ("rename", {"a b": "c"})
    assert set_option("quote=single") == ("quote", "single")
    assert set_option('comment="#"') == ("comment", "#")
    with pytest.raises(UsageError, match="NAME=VALUE"):
        set_option("nonsense=1")


@pytest.mark.parametrize(
    ("kind", "text", "expected", "size"),
    [
        ("string", " a ", {"S": " a "}, 3),
        ("number", " 01.50 ", {"N": "1.5"}, 4),
        ("binary", "aGk=", {"B": b"hi"}, 2),
        ("bool", "Yes", {"BOOL": True}, 1),
        ("bool", "0", {"BOOL": False}, 1),
        ("null", "NULL", {"NULL": True}, 1),
        ("list", '[1.50, "a", null]', {"L": [{"N": "1.5"}, {"S": "a"}, {"NULL": True}]}, 12),
        ("map", '{"a": {"b": [true]}}', {"M": {"a": {"M": {"b": {"L": [{"BOOL": True}]}}}}}, 15),
        ("json", '"x"', {"S": "x"}, 1),
        ("json", r'"\ud83d\ude00"', {"S": "😀"}, 4),
        ("json", "0.1", {"N": "0.1"}, 4),
        ("string-set", '["b", "a", "b"]', {"SS": ["b", "a"]}, 2),
        ("number-set", "[1, 1.0, 2]", {"NS": ["1", "2"]}, 6),
        ("binary-set", '["aGk="]', {"BS": [b"hi"]}, 2),
    ],
)
def test_cells_of_each_type(kind, text, expected, size):
    found = value_of(kind)(text, "Column")
    assert found == expected
    assert size_of(found) == size


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        ("number", "1,5", "for a decimal comma set --set 'decimal=\"comma\"' "),
        ("binary", "a", "is no Base64"),
        ("bool", "maybe", "neither true nor false"),
        ("null", "x", "must be empty or null"),
        ("list", "{}", "is no list in JSON"),
        ("map", "[1]", "is no object in JSON"),
        ("json", "NaN", "is no JSON"),
        ("json", r'"\ud800"', "has an escape that is no character"),
        ("map", r'{"\ud800": 1}', "has an escape that is no character"),
        ("string-set", r'["a\udc00"]', "has an escape that is no character"),
        ("json", "1" * 39, "has 39 digits"),
        ("json", "[" * 40 + "]" * 40, "more than 32 levels"),
        ("json", "[" * 100_000, "is no JSON"),
        ("string-set", "[]", "is no list with elements"),
        ("string-set", "[[]]", "can't be in a set"),
        ("number-set", '["x"]', "is no number"),
    ],
)
def test_cells_that_are_of_no_such_type(kind, text, says):
    with pytest.raises(BadRowError, match=says):
        value_of(kind)(text, "Column")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,5", "1.5"), ("1.234.567,5", "1234567.5"), ("1.234", "1234"), ("-3", "-3"), ("1.5", None)],
)
def test_a_decimal_comma(text, value):
    number = value_of("number", decimal=",")
    if value is None:
        with pytest.raises(BadRowError, match="no number with a decimal comma"):
            number(text, "Price")
    else:
        assert number(text, "Price") == {"N": value}


@pytest.mark.parametrize(
    ("empty", "expected"),
    [
        ("keep", {"B": {"S": ""}}),
        ("absent", {}),
        ("null", {"B": {"NULL": True}, "C": {"NULL": True}}),
    ],
)
def test_empty_cells(empty, expected):
    schema = Schema.parse(columns="A,B,C:number", key="A", empty=empty)
    assert item(schema, "1", "", "") == {"A": {"S": "1"}} | expected


def test_a_key_made_of_columns_is_the_same_again_and_another_for_others():
    schema = Schema.parse(columns="A,B", key="Id", generate={"Id": "hash:A,B"})
    first = item(schema, "1", "2")["Id"]
    assert first == item(schema, "1", "2", line=9)["Id"]
    others = [("12", ""), ("", "12"), ("2", "1")]
    assert len({str(item(schema, *each)["Id"]) for each in others} | {str(first)}) == 4


def test_a_key_made_of_the_place_is_another_in_each_row():
    schema = Schema.parse(columns="A", key="Id", generate={"Id": "row"})
    assert item(schema, "1") == item(schema, "1")
    assert item(schema, "1", line=3) != item(schema, "1")


@pytest.mark.parametrize(
    ("form", "text", "seconds"),
    [
        ("", "1970-01-02", 86400 * 3),
        ("", "1970-01-02T01:00:00+01:00", 86400 * 3),
        ("", "1970-01-02T00:00:00Z", 86400 * 3),
        ("", "19700102", 86400 * 3),
        ("", "1970-01-02Z", 86400 * 3),
        ("", "19700102T010000,5+0100", 86400 * 3),
        ("", "1970-01-02 00", 86400 * 3),
        ("%d.%m.%Y", "02.01.1970", 86400 * 3),
        ("", "", None),
    ],
)
def test_a_time_to_live_from_a_date(form, text, seconds):
    schema = Schema.parse(columns="A,Day", key="A", ttl="Expires=Day+2d", date_format=form)
    expected = {} if seconds is None else {"Expires": {"N": str(seconds)}}
    assert item(schema, "1", text) == {"A": {"S": "1"}, "Day": {"S": text}} | expected
    for other in ("tomorrow", "1970-W01-5", "1970-0102", "1970-01-02T24:00", "1970-01-02+01:00"):
        with pytest.raises(BadRowError, match="Day is no date"):
            item(schema, "1", other)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (["A;B"], "--delimiter semicolon"),
        (["# made by us"], "--set 'comment=\"#\"'"),
        (["'A'", "'B'"], "--set 'quote=\"single\"'"),
        (["a", "b "], """--set 'rename={ "a" = "A", "b" = "B" }'"""),
        (["A", "B", "C"], "--extra-columns drop"),
        (["1", "x"], "--header A,B"),
        (["1", "2", "3"], "--header 'A,B,column 3' --extra-columns drop"),
        (["A", "B", "A"], "Give each column a title of its own. "),
    ],
)
def test_a_header_that_does_not_fit_names_the_setting_that_would_read_it(header, says):
    schema = Schema.parse(columns="A,B", key="A")
    with pytest.raises(DataError) as caught:
        schema.layout(header, name="x.csv")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (b"# c\nA,B\n#x\n1,'2,3'\n\n", {"comment": "#", "quote": "'"}),
        (b"A,B\n1,2\\,3\n", {"escape": "backslash"}),
        (b'A,B\n1,"2\\",3"\n'.replace(b'\\"', b""), {}),
        (b"A;B\n1;2,3\n", {"delimiter": "auto"}),
        (b"A\tB\n1\t2,3\n", {"delimiter": "\\t", "quote": "none"}),
    ],
)
def test_dialects(data, options):
    settings = Settings.parse({"columns": "A,B", "key": "A", **options})
    rows = read_rows([data], name="x.csv", dialect=settings.default.dialect, columns=["A", "B"])
    assert [row.fields for row in rows] == [["A", "B"], ["1", "2,3"]]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1250", "cp1251", "shift_jis", "gb18030", "cp949"])
def test_an_encoding_found_by_its_bytes(encoding):
    texts = {
        "cp1250": "Žluťoučký kůň příliš úpěl ďábelské ódy, Příbram a Děčín leží v Čechách",
        "cp1251": "Москва и Санкт-Петербург стоят на разных реках",
        "shift_jis": "東京は日本の首都です。カタカナとひらがな",
        "gb18030": "北京是中国的首都，上海是最大的城市",
        "cp949": "서울은 대한민국의 수도이고 부산은 항구 도시이다",
        "utf-8": "München, Žižkov, 東京",
    }
    data = "A;B\n" + "".join(f"{n};{texts[encoding]}\n" for n in range(50))
    settings = Settings.parse(
        {"columns": "A,B", "key": "A", "delimiter": "semicolon", "encoding": "auto"}
    )
    chunks = (data.encode(encoding)[n : n + 7] for n in range(0, len(data) * 4, 7))
    rows = read_rows(chunks, name="x.csv", dialect=settings.default.dialect)
    assert [row.fields[1] for row in rows][1:] == [texts[encoding]] * 50
