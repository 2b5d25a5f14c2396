"""How much and when `wordfreq ingest` writes: a rate for all containers, only what is absent."""

from __future__ import annotations

import pytest

from tests.integration.batch_image.csv.dynamodb import HEADER, Unreliable


def test_containers_of_a_plan_keep_to_one_rate_together(database, ministack):
    table = database.table()
    inbox = database.wordfreq.folder / "in"
    inbox.mkdir()
    for name in ("a", "b"):
        rows = b"".join(b"%s%d,n,d\n" % (name.encode(), n) for n in range(150))
        (inbox / f"{name}.csv").write_bytes(HEADER + rows)
    database.wordfreq.ok("plan", "-s", "in", "-d", "out", "-p", "p.json")
    rate, window = 20, 5
    with Unreliable(ministack.url) as proxy:
        running = [
            database.wordfreq.popen(
                *("ingest", "-p", "p.json", "-t", table, "-i", number),
                *("--max-write-units", rate),
                AWS_ENDPOINT_URL_DYNAMODB=proxy.url,
            )
            for number in (0, 1)
        ]
        ended = [each.communicate(timeout=300) for each in running]
    assert [each.returncode for each in running] == [0, 0], ended
    assert len(database.items(table)) == 300
    assert any("10.0 write units a second (2 at work together)" in err for _, err in ended)
    times = sorted(proxy.times)
    most = max(
        sum(start <= each < start + window for each in times[number:])
        for number, start in enumerate(times)
    )
    # A second's worth may have gathered in each; two that take no notice of each other pass 200.
    assert most <= rate * window + 2 * rate


@pytest.mark.parametrize("units", [25, 100])
def test_one_file_by_hand_keeps_to_the_rate(database, ministack, units):
    table = database.table()
    rows = b"".join(b"%d,n,d\n" % n for n in range(100))
    with Unreliable(ministack.url) as proxy:
        ran = database.load(
            HEADER + rows, table, "--max-write-units", units, AWS_ENDPOINT_URL_DYNAMODB=proxy.url
        )
    assert ran.code == 0, ran.err
    assert len(database.items(table)) == 100
    # The units gather from the start, a request of 8 at a time may have been let through ahead.
    assert proxy.times[-1] - proxy.times[0] >= (100 - 8) / units - 1


def test_only_what_is_absent_is_written_and_again_without_effect(either):
    table = either.table()
    either.load(HEADER + b"1,old,x\n", table, name="a.csv")
    ran = either.load(HEADER + b"1,new,y\n2,new,y\n", table, "--write", "absent", name="b.csv")
    assert ran.code == 0, ran.err
    assert "2 rows read, 1 items written" in ran.out
    assert "1 rows were left out" in ran.err
    assert either.values(table) == {"1": ("old", "x"), "2": ("new", "y")}
    again = either.wordfreq("ingest", "-s", "b.csv", "-t", table, "--write", "absent")
    assert "2 rows read, 1 items written" in again.out
    assert either.values(table) == {"1": ("old", "x"), "2": ("new", "y")}
