"""Headers, rows to items, keys, numbers, superseded rows, batches: all without a table."""

from __future__ import annotations

import random
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordfreq_batch.csv.dynamo_writer import (
    BATCH_BYTES,
    Put,
    batches,
)
from wordfreq_batch.csv.items import (
    BadRowError,
    ItemBuilder,
    TableItem,
    number_of,
)
from wordfreq_batch.csv.last import LastOfKey
from wordfreq_batch.csv.reading.rows import Row
from wordfreq_batch.csv.schema import Schema
from wordfreq_batch.errors import (
    DataError,
    UsageError,
)

PRODUCTS = Schema.parse(columns="ProductId,ProductName,ProductDescription", key="ProductId")
PRICES = Schema.parse(columns="Sku, Day , Price:number", key="Sku", sort_key="Day")


def items(schema: Schema, header: str, **more):
    layout = schema.layout(header.split(","), name="s3://b/x.csv")
    return ItemBuilder(
        schema, layout, filename="x.csv", last_modified="2026-01-02T03:04:05Z", **more
    )


def item(schema: Schema, header: str, row: str, **more) -> TableItem:
    return items(schema, header, **more).item(Row(2, row.split(","), []))


def test_columns_are_found_by_name_wherever_they_are():
    made = item(PRODUCTS, "ProductDescription, ProductId ,ProductName", "d, 1,n")
    assert made.attributes == {
        "ProductId": {"S": " 1"},  # blanks around values are the sender's
        "ProductName": {"S": "n"},
        "ProductDescription": {"S": "d"},
        "Filename": {"S": "x.csv"},
        "LastModified": {"S": "2026-01-02T03:04:05Z"},
    }


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("ProductId,ProductName", "'ProductDescription' is missing"),
        ("productid,ProductName,ProductDescription", "'ProductId' is missing"),
        ("ProductId,ProductName,ProductDescription,More", "'More' is not expected"),
        ("ProductId,ProductName,ProductDescription,", "a column has no name"),
        ("ProductId,ProductId,ProductName,ProductDescription", "'ProductId' is there twice"),
        ("ProductId;ProductName;ProductDescription", "'ProductId' is missing"),
    ],
)
def test_a_header_that_does_not_fit_is_explained(header, says):
    with pytest.raises(DataError) as caught:
        PRODUCTS.layout(header.split(","), name="s3://b/x.csv")
    assert says in str(caught.value)
    assert "s3://b/x.csv" in str(caught.value)


def test_more_columns_are_kept_or_left_out_if_that_was_asked_for():
    text = "a,b,extra,c"
    header = "ProductId,ProductName,More,ProductDescription"
    columns = "ProductId,ProductName,ProductDescription"
    keep = Schema.parse(columns=columns, key="ProductId", extra="keep")
    drop = Schema.parse(columns=columns, key="ProductId", extra="drop")
    assert item(keep, header, text).attributes["More"] == {"S": "extra"}
    assert "More" not in item(drop, header, text).attributes
    with pytest.raises(DataError, match="every item gets"):
        keep.layout([*columns.split(","), "Filename"], name="x")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("1,n", "2 fields, the header has 3 (without ProductDescription)"),
        ("1,n,d,e", "4 fields, the header has 3"),
        (",n,d", "the key ProductId is empty"),
        ("k" * 2049 + ",n,d", "2,049 bytes; DynamoDB allows 2,048"),
        ("1,n," + "d" * 409_600, "DynamoDB allows 409,600"),
    ],
)
def test_a_row_that_cannot_be_an_item_says_why(row, says):
    with pytest.raises(BadRowError) as caught:
        item(PRODUCTS, "ProductId,ProductName,ProductDescription", row)
    assert says in str(caught.value)


def test_numbers_are_spelled_as_dynamodb_gives_them_back():
    made = item(PRICES, "Sku,Day,Price", "a,2026-01-01, 1.50 ")
    assert made.attributes["Price"] == {"N": "1.5"}
    assert "Price" not in item(PRICES, "Sku,Day,Price", "a,2026-01-01,").attributes
    with pytest.raises(BadRowError, match="Price is no number: 'a lot'"):
        item(PRICES, "Sku,Day,Price", "a,2026-01-01,a lot")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=None))
def test_a_number_keeps_its_value_or_is_refused(value):
    try:
        text = number_of(str(value), "n")
    except BadRowError:
        digits = len(str(value.as_tuple().digits)) and len(
            "".join(map(str, value.as_tuple().digits)).strip("0")
        )
        assert digits > 38 or not -130 <= value.adjusted() <= 125
        return
    assert Decimal(text) == value
    assert number_of(text, "n") == text


@pytest.mark.parametrize(
    "text", ["", "1,5", "0x10", "NaN", "Infinity", "1e", "١", "1_000", "1e126"]
)
def test_no_numbers(text):
    with pytest.raises(BadRowError):
        number_of(text, "n")


def test_the_same_number_is_the_same_key():
    schema = Schema.parse(columns="Id:number,Name", key="Id")
    keys = {item(schema, "Id,Name", f"{text},x").key for text in ("1", "1.0", "01", "10e-1", "+1")}
    assert len(keys) == 1


def test_an_indexed_attribute_may_be_absent_but_not_empty():
    with pytest.raises(BadRowError, match="index"):
        item(
            PRODUCTS,
            "ProductId,ProductName,ProductDescription",
            "1,,d",
            indexed={"ProductName": "S"},
        )


@pytest.mark.parametrize(
    ("columns", "key", "sort_key", "says"),
    [
        ("a,a", "a", "", "twice"),
        ("a,b", "c", "", "none of the columns"),
        ("a,b", "a", "a", "can't be both"),
        ("a,b:float", "a", "", "no column"),
        ("a,,b", "a", "", "no column"),
        ("a,Filename", "a", "", "every item gets"),
    ],
)
def test_settings_that_contradict_each_other(columns, key, sort_key, says):
    with pytest.raises(UsageError, match=says):
        Schema.parse(columns=columns, key=key, sort_key=sort_key)


def test_the_version_changes_with_whatever_changes_the_items():
    versions = {
        PRODUCTS.version("a"),
        PRODUCTS.version("b"),
        PRICES.version("a"),
        Schema.parse(columns="Sku,Day,Price", key="Sku", sort_key="Day").version("a"),
        Schema.parse(columns="Sku,Day,Price:number", key="Sku").version("a"),
    }
    assert len(versions) == 5
    assert PRODUCTS.version("a") == PRODUCTS.version("a")


@pytest.mark.parametrize("memory", [100, 10_000, 1 << 20], ids=["disk", "some", "memory"])
def test_of_rows_with_one_key_the_last_one_counts(memory):
    chooser = random.Random(5)
    keys = [b"%d" % chooser.randrange(700) for _ in range(3000)]
    with LastOfKey(memory=memory) as last:
        for key in keys:
            last.add(key)
        last.finish()
        kept = {row for row in range(len(keys)) if last.is_last(row)}
        assert last.superseded == len(keys) - len(kept)
    assert kept == set({key: row for row, key in enumerate(keys)}.values())


@given(st.lists(st.integers(1, 400 * 1024), max_size=200))
def test_batches_hold_everything_in_order_within_the_limits(sizes):
    puts = [Put(TableItem({}, b"", size), number) for number, size in enumerate(sizes)]
    made = list(batches(puts))
    assert [put.origin for batch in made for put in batch] == list(range(len(sizes)))
    for batch in made:
        assert 1 <= len(batch) <= 25
        assert len(batch) == 1 or sum(put.item.size for put in batch) <= BATCH_BYTES
    for left, right in pairwise(made):
        full = len(left) == 25 or sum(p.item.size for p in left) + right[0].item.size > BATCH_BYTES
        assert full


def test_a_header_of_many_columns_takes_time_in_proportion():
    """Counted in comparisons of titles, which don't depend on the machine's speed."""
    compared = 0

    class Title(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def strip(self, *_):
            return self

        def __eq__(self, other):
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    schema = Schema.parse(columns="a", key="a", extra="keep")
    layout = schema.layout([Title("a"), *(Title(f"c{n}") for n in range(5_000))], name="x")
    assert len(layout.fields) == 5_001
    assert compared < 50_000
