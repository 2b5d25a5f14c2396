"""The plan's JSON: the known shape, ours added, nothing lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordfreq_batch.errors import (
    DataError,
    UsageError,
)
from wordfreq_batch.plans.formats import CountedFile, ItemReceipt, Receipt, RejectedRow, RowFigures
from wordfreq_batch.plans.plan import (
    Item,
    KnownCounts,
    Location,
    Plan,
    PlanHead,
    Refused,
    Task,
    head_loads,
)
from wordfreq_batch.plans.plan_store import (
    load_head,
    load_plan,
    load_task,
    task_dumps,
    task_loads,
    write_plan,
)
from wordfreq_batch.plans.tasks import failure

URI = "s3://b/plans/p.json"

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
counted = st.none() | st.builds(
    KnownCounts, st.text("0123456789abcdef-", min_size=1), *[st.integers(0, 10**9)] * 3
)
items = st.lists(
    st.builds(Item, names, st.integers(0, 10**13), st.text("abc-0"), counted, st.booleans()),
    unique_by=lambda item: item.name,
    max_size=12,
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    members = tuple(draw(items))
    groups = tuple(
        sorted({0, *draw(st.lists(st.integers(0, len(members) - 1)))}) if members else ()
    )
    tasks = tuple(g for g in range(len(groups)) if draw(st.booleans()))
    return Plan(
        head=PlanHead(
            id=draw(st.text("0123456789abcdefTZ-", min_size=1)),
            source=Location("in", draw(names)),
            destination=Location("file:///", draw(names)),
            plan=Location("b", "plans/p.json"),
            counter_version=draw(names),
            total_items=len(members),
            total_tasks=len(tasks),
            task_index=draw(st.none() | st.integers(0, 10**12)),
        ),
        items=members,
        groups=groups,
        tasks=tasks,
        refused=tuple(draw(st.lists(st.builds(Refused, names, names), max_size=3))),
    )


@given(plans())
def test_what_is_written_is_read_back(plan: Plan) -> None:
    text = plan.dumps()
    assert Plan.loads(text, uri=URI) == plan
    assert head_loads(text[: 32 * 1024], uri=URI) == plan.head
    for task in plan.all_tasks():
        assert task_loads(task_dumps(task), uri=URI) == task


def example(*files: str) -> Plan:
    return Plan(
        head=PlanHead(
            id="i",
            source=Location("bucket", ""),
            destination=Location("bucket2", "output/"),
            plan=Location("bucket2", "plans/plan-01.json"),
            counter_version="1",
            total_items=len(files),
            total_tasks=len(files),
        ),
        items=tuple(Item(name, 1, "e") for name in files),
        groups=tuple(range(len(files))),
        tasks=tuple(range(len(files))),
    )


def test_the_known_members_have_the_known_layout() -> None:
    text = example("file1.txt", "ü 'x'.txt").dumps()
    assert text.isascii()
    assert not text.endswith("\n")
    document = json.loads(text)
    assert list(document)[:2] == ["Metadata", "Items"]
    assert list(document["Metadata"])[:4] == ["Source", "Destination", "Plan", "TotalItems"]
    known = {
        "Metadata": {k: document["Metadata"][k] for k in list(document["Metadata"])[:4]},
        "Items": document["Items"],
    }
    assert known == {
        "Metadata": {
            "Source": {"Bucket": "bucket", "Key": ""},
            "Destination": {"Bucket": "bucket2", "Key": "output/"},
            "Plan": {"Bucket": "bucket2", "Key": "plans/plan-01.json"},
            "TotalItems": 2,
        },
        "Items": ["file1.txt", "ü 'x'.txt"],
    }
    # Line by line what json.dumps with an indent of 2 gives.
    beginning = json.dumps({"Metadata": document["Metadata"], "Items": document["Items"]}, indent=2)
    assert text.startswith(beginning.removesuffix("\n}"))
    assert '"Items": []' in example().dumps()


SEED = """{
  "Metadata": {
    "Source": {
      "Bucket": "in",
      "Key": "docs/"
    },
    "Destination": {
      "Bucket": "out",
      "Key": "output"
    },
    "Plan": {
      "Bucket": "out",
      "Key": "plans/plan-01.json"
    },
    "TotalItems": 2
  },
  "Items": [
    "a\\u0027.txt",
    "b.txt"
  ]
}"""


def test_a_plan_of_the_system_before_is_read(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(SEED)
    uri = str(tmp_path / "p.json")
    head = load_head(uri)
    assert (head.total_items, head.total_tasks, head.counter_version) == (2, 2, "")
    assert head == load_head(uri), "its id is the same for every reader"
    assert [item.name for item in load_task(head, 1).items] == ["b.txt"]
    assert load_plan(uri).pending == ("a'.txt", "b.txt")
    assert head.folder == f"file://{tmp_path}/p/{head.id}/"


def test_a_task_reads_kilobytes_of_a_large_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = example(*(f"some/long/folder/file-{number:06d}.txt" for number in range(50_000)))
    uri = str(tmp_path / "p.json")
    plan = Plan.loads(plan.dumps(), uri=uri)
    write_plan(plan)
    assert (tmp_path / "p.json").stat().st_size > 2_000_000

    from wordfreq_batch.storage.local import LocalStore

    read = 0
    get_range = LocalStore.get_range

    def counting(self: LocalStore, key: str, start: int, length: int) -> bytes:
        nonlocal read
        data = get_range(self, key, start, length)
        read += len(data)
        return data

    monkeypatch.setattr(LocalStore, "get_range", counting)
    monkeypatch.delattr(LocalStore, "get")
    head = load_head(uri)
    for number in (0, 31_234, 49_999):
        assert load_task(head, number).items == plan.items[number : number + 1]
    assert read < 40_000
    with pytest.raises(UsageError, match="50000 tasks"):
        load_task(head, 50_000)


def test_a_plan_copied_without_its_companion_still_works(tmp_path: Path) -> None:
    write_plan(Plan.loads(example("a", "b").dumps(), uri=str(tmp_path / "p.json")))
    (tmp_path / "p.json").rename(tmp_path / "moved.json")
    head = load_head(str(tmp_path / "moved.json"))
    assert load_task(head, 1).items[0].name == "b"


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"Metadata": {}, "Items": []}', "hello", SEED[:-30]]
)
def test_what_is_no_plan_is_called_so(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(DataError, match=r"p\.json is no plan"):
        load_plan(str(tmp_path / "p.json"))
    if text != SEED[:-30]:
        with pytest.raises(DataError, match=r"p\.json is no plan"):
            load_head(str(tmp_path / "p.json"))


RECEIPT = Receipt(
    plan_id="p",
    stage="ingest",
    task=3,
    exit_code=0,
    counter_version="1/icu-78.2",
    started="2026-01-01T00:00:00+00:00",
    finished="2026-01-01T00:00:01+00:00",
    seconds=1.5,
    items=(
        ItemReceipt(
            "a.csv", "e", 9, rows=RowFigures(1, 1, 0, 0, rejects=(RejectedRow(1, "r", "t"),))
        ),
    ),
)


def test_a_receipt_is_read_back() -> None:
    assert Receipt.loads(RECEIPT.dumps(), uri=URI) == RECEIPT


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("PlanId",), 1),
        (("ExitCode",), "0"),
        (("Task",), True),
        (("Seconds",), "a"),
        (("Error",), 7),
        (("Items", 0, "Words"), None),
        (("Items", 0, "Reused"), 0),
        (("Items", 0, "Rows", "Written"), "1"),
        (("Items", 0, "Rows", "Rejects", 0, 0), "1"),
    ],
)
def test_a_receipt_with_values_of_other_types_is_none(
    path: tuple[str | int, ...], value: object
) -> None:
    document = json.loads(RECEIPT.dumps())
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(DataError, match="is no receipt"):
        Receipt.loads(json.dumps(document), uri=URI)


@pytest.mark.parametrize("line", ['["a","e","9","v","c",1,1,0]', '["a","e",9,"v","c",1,null,0]'])
def test_a_row_of_the_ledger_with_values_of_other_types_is_damaged(line: str) -> None:
    with pytest.raises(TypeError):
        CountedFile.loads(line)


@pytest.mark.parametrize("line", ['["a","e",9,"v","c",3,2,1]', '["a","e",9,"v","c",0,0,0,"PNG"]'])
def test_a_row_of_the_ledger_is_read_back(line: str) -> None:
    row = CountedFile.loads(line)
    assert row.dumps() == line
    again = ItemReceipt.reuse(Item(row.name, row.size, row.etag, row.counts))
    assert again.row("v") == row


def test_a_task_with_values_of_other_types_is_damaged() -> None:
    line = task_dumps(Task(0, 0, 0, (Item("a", 1, "e"),)))
    assert task_loads(line, uri=URI).items[0].size == 1
    with pytest.raises(DataError, match="is damaged"):
        task_loads(line.replace(b'"a",1', b'"a","1"'), uri=URI)


def test_a_shortage_of_memory_is_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    failed = failure(Item("a.txt", 1, "e"), MemoryError())
    assert failed.error is not None
    assert "not enough memory" in failed.error
    assert "--memory" in failed.error
    assert "Traceback" not in capsys.readouterr().err
