"""A bucket that nobody knows, on two S3 servers: each file is counted, or named with its reason."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from tests.integration.batch_image.text.kinds import ASIDE, BAD, READ, TEXT
from wordfreq_batch.text.words import tokens

ROOT = Path(__file__).parents[4]
REAL = {
    str(path.relative_to(ROOT)): path.read_bytes()
    for folder in ("docs", "demo")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".md", ".py") and path.is_file()
}
ODD = (
    *(
        "a//b",
        "../up",
        "./here",
        " blank ",
        "a\nb",
        "%20?#&+",
        "ü/ü",
        "u\u0308/u\u0308",
        "😀",
        "{}|^`",
    ),
    *("x" * 900, "CASE", "case", "back\\slash", "tab\there", "a:b", "~", "*", "'\"<>&", "sub/"),
)

pytestmark = pytest.mark.s3


def _words(data: bytes) -> Counter[str]:
    return Counter(tokens(data.decode()))


@pytest.fixture(params=["s3_server", "ministack"])
def bucket(request, wordfreq):
    """A new bucket: its server, its client and its name."""
    server = request.getfixturevalue(request.param)
    client = server.client() if request.param == "s3_server" else server.client("s3")
    wordfreq.environment.update(server.environment)
    return request.param, client, server.bucket()


def test_every_file_of_a_mixed_bucket_is_counted_or_named(wordfreq, bucket):
    kind, client, name = bucket
    texts = {f"real/{key}": data for key, data in REAL.items()}
    texts |= {f"odd/{key}": b"odd key" for key in ODD}
    odd_keys = {f"odd/{key}" for key in ODD}
    words = {key: _words(data) for key, data in texts.items()}
    words |= {f"kinds/{key}": _words(TEXT.encode()) for key in READ}
    bodies = texts | {f"kinds/{key}": data for key, data in READ.items()}
    bodies |= {f"kinds/{key}": data for key, (data, _) in ASIDE.items()}
    bodies |= {f"kinds/{key}": data for key, (data, _) in BAD.items()}
    for key, body in bodies.items():
        # SeaweedFS refuses some keys: then there is nothing to count.
        with suppress(client.exceptions.ClientError) if key in odd_keys else nullcontext():
            client.put_object(Bucket=name, Key=f"in/{key}", Body=body)
    about = {
        "encoded": {"ContentEncoding": "gzip"},
        "told": {"ContentType": "text/x; charset=cp1252"},
    }
    client.put_object(
        Bucket=name, Key="in/encoded", Body=gzip.compress(TEXT.encode()), **about["encoded"]
    )
    client.put_object(Bucket=name, Key="in/told", Body=TEXT.encode("cp1252"), **about["told"])
    words |= {key: _words(TEXT.encode()) for key in about}
    for number in range(12):
        client.put_object(
            Bucket=name, Key=f"in/cold/{number}", Body=b"archived", StorageClass="GLACIER"
        )

    ran = wordfreq(
        *("count", f"s3://{name}/in", "--output", f"s3://{name}/out", "--json"),
        *("--min-length", "1", "--min-count", "1", "--top", "1000000"),
    )
    assert ran.code == 4, ran.err
    found = json.loads(ran.out)

    def listed(prefix: str) -> dict[str, dict]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=prefix)
        entries = [each for page in pages for each in page.get("Contents", ())]
        return {each["Key"].removeprefix(prefix): each for each in entries}

    there = {key: entry for key, entry in listed("in/").items() if key != ""}
    failed = {each["Name"]: each["Error"] for each in found["Failed"]}
    left = {each["Name"]: each for each in found["LeftOut"]}
    results = {k for k in listed("out/counts/") if not k.startswith(".wordfreq/")}
    aside = sum(each["Files"] for each in found["Metadata"]["SetAside"])
    # Sums: what is listed is counted, set aside, failed or left out, each file once.
    markers = {key for key, entry in there.items() if key.endswith("/") and not entry["Size"]}
    assert results | set(failed) | set(left) == set(there) - markers
    assert len(results) + len(failed) + len(left) == len(there) - len(markers)
    assert found["Metadata"]["Files"] == len(results)
    assert found["Metadata"]["Missing"] == len(failed)
    # True reasons.
    assert {key.removeprefix("kinds/") for key in failed} == set(BAD)
    for key, (_, reason) in BAD.items():
        assert reason in failed[f"kinds/{key}"]
    assert Counter(kind for _, kind in ASIDE.values()) == {
        each["Kind"]: each["Files"]
        for each in found["Metadata"]["SetAside"]
        if each["Kind"] not in {entry["Kind"] for entry in left.values()}
    }
    archived = {key for key, entry in there.items() if entry.get("StorageClass") == "GLACIER"}
    assert {k for k, entry in left.items() if entry["Kind"] == "archived"} == archived
    assert archived or kind == "s3_server"  # SeaweedFS keeps no classes
    for key in archived:
        assert "GLACIER and must be restored first" in left[key]["Reason"]
    # Sums of words: those of the counted files, computed apart.
    words |= {key: _words(b"odd key") for key in there if key.startswith("odd/")}  # however kept
    if not archived:
        words |= {f"cold/{number}": Counter(archived=1) for number in range(12)}
    expected: Counter[str] = Counter()
    for key in results & set(words):
        expected += words[key]
    assert results - set(words) == {f"kinds/{key}" for key in ASIDE}
    assert {each["Word"]: each["Count"] for each in found["Words"]} == expected
    assert found["Metadata"]["Words"] == expected.total()
    assert aside == len(ASIDE) + len(left)
    # Odd keys: all that the server has kept, but for those that end like folders.
    odd = {key for key in there if key.startswith("odd/")} - markers
    assert odd <= results | set(left)
    if kind == "ministack":
        assert len(odd & results) >= len(ODD) - 3, odd - results
