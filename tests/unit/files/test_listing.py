"""A listing over many ticks, and when it leads to a run; each test is named for its scenario."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone

import pytest

from wordfreq_batch.storage.fingerprint import Fingerprint
from wordfreq_batch.storage.scan import Scan, advance
from wordfreq_batch.storage.store import ObjectInfo
from wordfreq_dagster.files.listing_sensor import Attempt, decide

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Bucket:
    """Objects in key order, listed from any key on."""

    def __init__(self, keys: int = 0) -> None:
        self.objects = {f"k{n:07}": ObjectInfo(f"k{n:07}", n, f"e{n}", NOW) for n in range(keys)}
        self.listed = 0

    def put(self, key: str, etag: str, size: int = 1, written: datetime = NOW) -> None:
        self.objects[key] = ObjectInfo(key, size, etag, written)

    def list_after(self, after: str):
        for key in sorted(self.objects):
            if key > after and key in self.objects:
                self.listed += 1
                yield self.objects[key]

    def fingerprint(self) -> Fingerprint:
        return Fingerprint().plus(self.objects.values())


def scan_all(bucket: Bucket, *, keys: int, source: str = "s3://b/") -> tuple[Scan, int]:
    """Ticks through a whole listing; the scan and the largest cursor in bytes."""
    cursor, largest = "", 0
    for _ in range(10_000):
        scan, complete = advance(
            Scan.resume(cursor, source=source), bucket.list_after, seconds=60, keys=keys
        )
        cursor = scan.cursor
        largest = max(largest, len(cursor.encode()))
        if complete:
            return scan, largest
    raise AssertionError("the listing never ended")


@pytest.mark.parametrize("keys", [1, 7, 999, 1000, 2500, 10_000])
def test_pieces_of_any_size_give_the_same_listing(keys):
    bucket = Bucket(2500 if keys > 1 else 20)
    scan, _ = scan_all(bucket, keys=keys)
    assert scan.fingerprint == bucket.fingerprint()
    assert bucket.listed == len(bucket.objects)


def test_a_tick_ends_when_its_time_is_over():
    clock = iter(range(1000))
    bucket = Bucket(50_000)
    scan, complete = advance(
        Scan(source="s"), bucket.list_after, seconds=5, keys=10**9, now=lambda: next(clock)
    )
    assert not complete
    assert scan.fingerprint.files == 5000


def test_the_cursor_stays_small_whatever_the_keys():
    bucket = Bucket()
    for n in range(30):
        bucket.put(f"{n:04}" + "ü" * 510, "e" * 36, 5 << 40)
    _, largest = scan_all(bucket, keys=3)
    assert largest < 1500


@pytest.mark.parametrize("cursor", [None, "", "{", "[]", "7", '{"source": "s3://b/"}', "null"])
def test_a_cursor_that_cannot_be_read_starts_again(cursor):
    assert Scan.resume(cursor, source="s3://b/") == Scan(source="s3://b/")


def test_a_cursor_of_another_source_starts_again():
    scan = Scan(source="s3://b/", after="x", ticks=3)
    assert Scan.resume(scan.cursor, source="s3://b/") == scan
    assert Scan.resume(scan.cursor, source="s3://other/") == Scan(source="s3://other/")


def test_a_name_that_is_not_utf8_fits_into_the_cursor():
    scan = Scan(source="/folder", after="a\udcffb")
    assert Scan.resume(scan.cursor, source="/folder") == scan
    scan.cursor.encode()


class Pipeline:
    """A bucket, the sensor's rule, and runs that rank what is there when they start."""

    def __init__(self, **files: str) -> None:
        self.bucket = Bucket()
        for key, etag in files.items():
            self.bucket.put(key, etag)
        self.ranked = ""
        self.attempts: list[Attempt] = []
        self.clock = 1_000_000.0
        self.running: tuple[str, str] | None = None
        self.requested = 0
        self.unchecked = False

    def tick(self, seconds: float = 30) -> str:
        self.clock += seconds
        found, _ = scan_all(self.bucket, keys=2)
        attempts = self.attempts
        if self.running:
            attempts = [Attempt(listing=self.running[0], ended=None), *attempts]
        decision = decide(
            listing=found.fingerprint,
            made_from=self.ranked,
            attempts=attempts,
            now=self.clock,
            result="the ranking",
            unchecked=self.unchecked,
        )
        if decision.run:
            self.requested += 1
            # the run lists the source when it starts, not when it is asked for
            self.running = (str(found.fingerprint), str(self.bucket.fingerprint()))
        return decision.reason

    def run_ends(self, *, success: bool = True) -> None:
        assert self.running
        asked, planned = self.running
        self.attempts.insert(0, Attempt(listing=asked, ended=self.clock))
        if success:
            self.ranked, self.unchecked = planned, False
        self.running = None

    def settle(self) -> int:
        """Tick and let runs end until nothing is asked for; how many runs that took."""
        before = self.requested
        for _ in range(20):
            self.tick()
            if not self.running:
                assert self.ranked == str(self.bucket.fingerprint())
                return self.requested - before
            self.run_ends()
        raise AssertionError("it never came to rest")


@pytest.fixture
def settled() -> Pipeline:
    made = Pipeline(a="1", b="2", c="3")
    assert made.settle() == 1
    return made


def test_nothing_changed(settled):
    assert settled.settle() == 0
    assert "nothing has changed: 3 files" in settled.tick()


def test_object_added(settled):
    settled.bucket.put("bb", "4")
    assert settled.settle() == 1


def test_overwritten_with_the_same_bytes(settled):
    settled.bucket.put("a", "1", written=NOW + timedelta(days=1))
    assert settled.settle() == 0


def test_overwritten_with_other_bytes(settled):
    settled.bucket.put("a", "9")
    assert settled.settle() == 1


def test_deleted(settled):
    del settled.bucket.objects["b"]
    assert settled.settle() == 1


def test_all_deleted(settled):
    settled.bucket.objects.clear()
    assert settled.settle() == 1


def test_an_empty_source_that_was_never_ranked():
    empty = Pipeline()
    assert empty.tick() == "the source is empty"
    assert not empty.requested


def test_deleted_and_added_again_unchanged(settled):
    gone = settled.bucket.objects.pop("b")
    settled.bucket.objects["b"] = gone
    assert settled.settle() == 0


def test_deleted_seen_and_added_again(settled):
    gone = settled.bucket.objects.pop("b")
    assert settled.settle() == 1
    settled.bucket.objects["b"] = gone
    assert settled.settle() == 1  # A, B, A: the state of before, and a run all the same


def test_added_during_a_run(settled):
    settled.bucket.put("d", "4")
    settled.tick()
    settled.bucket.put("e", "5")
    assert "under way" in settled.tick()
    settled.run_ends()
    assert settled.settle() == 1


def test_added_in_the_same_second_as_a_tick(settled):
    # behind the place that the listing has reached, while it is under way
    scan, complete = advance(Scan(source="s3://b/"), settled.bucket.list_after, seconds=60, keys=2)
    assert not complete
    settled.bucket.put("0", "new")
    scan, complete = advance(scan, settled.bucket.list_after, seconds=60, keys=2)
    assert str(scan.fingerprint) == settled.ranked  # this listing came too early
    assert settled.settle() == 1  # the next one shows it


def test_multipart_upload_finished_late(settled):
    # S3 gives it the time at which it was begun, a day ago; only the listing shows it
    settled.bucket.put("late", "etag-12", written=NOW - timedelta(days=1))
    assert settled.settle() == 1


def test_event_lost(settled):
    settled.bucket.put("unannounced", "4")
    assert settled.settle() == 1


def test_event_doubled(settled):
    settled.bucket.put("d", "4")
    settled.tick()
    assert "under way" in settled.tick()
    assert settled.requested == 2


def test_daemon_down_for_a_day(settled):
    settled.bucket.put("d", "4")
    settled.bucket.put("a", "5")
    del settled.bucket.objects["c"]
    settled.clock += 86_400
    assert settled.settle() == 1


def test_a_run_under_way_is_not_doubled(settled):
    settled.bucket.put("d", "4")
    for _ in range(5):
        settled.tick()
    assert settled.requested == 2


def test_a_failed_run_is_tried_again_after_pauses_that_double(settled):
    settled.bucket.put("broken.gz", "4")
    start, asked_at = settled.clock, []
    while settled.clock < start + 86_400:
        settled.tick(10)
        if settled.running:
            asked_at.append(settled.clock)
            settled.run_ends(success=False)
    pauses = [round(b - a) for a, b in itertools.pairwise(asked_at)]
    assert pauses == [120, 240, 480, 960, 1920, 3840, 7680, 15360, 21600, 21600]
    assert "did not bring the ranking up to date" in settled.tick(10)


def test_a_changed_source_ends_the_pause(settled):
    settled.bucket.put("broken.gz", "4")
    settled.tick()
    settled.run_ends(success=False)
    assert "the next one in" in settled.tick()
    settled.bucket.put("broken.gz", "5")
    assert settled.settle() == 1


def test_a_run_that_ended_before_its_checks_is_followed_by_one(settled):
    settled.unchecked = True
    assert "did not bring the ranking up to date" in settled.tick()
    assert "ended before it had checked the ranking" in settled.tick(seconds=120)
    settled.run_ends()
    assert settled.settle() == 0


def test_a_run_that_succeeds_without_helping_does_not_go_round_and_round(settled):
    settled.bucket.put("d", "4")
    for _ in range(100):
        settled.tick()
        if settled.running:
            settled.running = replace_planned(settled.running)
            settled.run_ends()
    assert settled.requested - 1 <= 6


def replace_planned(running: tuple[str, str]) -> tuple[str, str]:
    return running[0], "another listing than any sensor sees"


def test_a_thousand_changes_among_a_hundred_thousand_keys():
    before = Fingerprint().plus(Bucket(100_000).objects.values())
    bucket = Bucket(100_000)
    for n in range(0, 100_000, 100):
        bucket.objects[f"k{n:07}"] = bucket.objects[f"k{n:07}"]._replace(etag="changed")
    scan, largest = scan_all(bucket, keys=20_000)
    assert scan.fingerprint != before
    assert scan.fingerprint.files == before.files
    assert scan.ticks == 6
    assert largest < 300
