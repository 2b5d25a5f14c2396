"""The pages for people: what they say, what they link to, and what they never let through."""

from __future__ import annotations

import html.parser
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from aws_batch_emulator import SimulatedRun
from aws_batch_emulator._core.log_store import LogStore

EVIL = '<script>alert("1")</script>'


class Page(html.parser.HTMLParser):
    """Text, links and tag names of a page; fails on tags that are not closed in order."""

    VOID = ("meta",)

    def __init__(self, url: str, document: str) -> None:
        super().__init__()
        self.url, self.document = url, document
        self.words: list[str] = []
        self.links: dict[str, str] = {}
        self.tags: set[str] = set()
        self._open: list[str] = []
        self._href: str | None = None
        self.feed(document)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self._open.append(tag)
        if tag == "a":
            self._href = urllib.parse.urljoin(self.url, dict(attrs)["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self._href = None if tag == "a" else self._href

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "title"):
            self.words.append(data)
        if self._href is not None:
            self.links[data] = self._href

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(url: str, *, status: int = 200, host: str | None = None) -> tuple[str, Any]:
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == status
            return answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        assert error.code == status
        return error.read().decode(), error.headers


def page(bench: Any, path: str, *, status: int = 200) -> Page:
    url = urllib.parse.urljoin(bench.emulator.url, path)
    document, headers = read(url, status=status)
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    found = Page(url, document)
    assert "script" not in found.tags
    return found


def test_a_job_shows_state_reasons_attempts_and_leads_to_its_log(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(
        seconds=90, exit_code=3, reason="it & that", log=["first", "last"]
    )
    job = bench.submit(name="count", retryStrategy={"attempts": 2}, tags={"team": "data"})
    bench.clock.advance(10)
    running = page(bench, f"/_emulator/jobs/{job}")
    assert "count RUNNING" in running.text and 'http-equiv="refresh"' in running.document
    bench.clock.advance(1000)
    shown = page(bench, f"/_emulator/jobs/{job}")
    assert "count FAILED" in shown.text and "refresh" not in shown.document
    assert "Essential container in task exited: it & that" in shown.text
    assert shown.text.count(" 90.0 3 ") == 2
    assert "team=data" in shown.text and job in shown.text
    text, headers = read(shown.links["log"])
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert text == "first\nlast\n"
    assert "count" in page(bench, shown.links["all jobs"]).links
    bench.batch.untag_resource(resourceArn=bench.job(job)["jobArn"], tagKeys=["team"])
    assert "team=data" not in page(bench, f"/_emulator/jobs/{job}").text


def test_an_array_shows_its_children_failed_ones_first(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(
        exit_code=9 if job.index == 250 else 0, log=[f"words of {job.index}"]
    )
    job = bench.submit(size=300)
    bench.clock.advance(1000)
    shown = page(bench, f"/_emulator/jobs/{job}")
    assert {"all 300", "SUCCEEDED 299", "FAILED 1", "100 more"} <= set(shown.links)
    assert shown.text.index(" 250 FAILED 1 9 ") < shown.text.index(" 0 SUCCEEDED 1 0 ")
    failed = page(bench, shown.links["FAILED 1"])
    assert "250" in failed.links and "0" not in failed.links
    assert read(failed.links["log"])[0] == "words of 250\n"
    child = page(bench, failed.links["250"])
    assert child.url.endswith(f"{job}%3A250") and "exited" in child.text
    assert "299" in page(bench, shown.links["100 more"]).links
    assert page(bench, f"/_emulator/jobs/{job}:250").text == child.text


def test_what_jobs_say_is_escaped(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(exit_code=1, reason=EVIL, log=[EVIL])
    bench.define("hostile", container={"command": [EVIL, "</table>"]})
    job = bench.submit(
        jobDefinition="hostile",
        containerOverrides={"environment": [{"name": "X", "value": EVIL}]},
    )
    bench.clock.advance(10)
    bench.batch.terminate_job(jobId=job, reason=EVIL)
    shown = page(bench, f"/_emulator/jobs/{job}")
    assert EVIL in shown.text and EVIL not in shown.document
    assert EVIL not in page(bench, "/_emulator/jobs").document
    missing = page(bench, "/_emulator/jobs/" + urllib.parse.quote(EVIL), status=404)
    assert EVIL in missing.text
    # A log is what was written, and no browser may take it for a page.
    text, headers = read(shown.links["log"])
    assert text == EVIL + "\n"
    assert headers["Content-Type"].startswith("text/plain")
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80"])
def test_only_by_an_address_of_this_machine(bench: Any, host: str) -> None:
    text, _ = read(bench.emulator.url + "/_emulator/jobs", status=403, host=host)
    assert "--allow-host evil.example" in text


def test_a_long_log_shows_its_end_and_says_so(bench: Any) -> None:
    bench.behaviour = lambda job: SimulatedRun(log=[f"{n:0100}" for n in range(12_000)])
    job = bench.submit()
    bench.clock.advance(10)
    lines = read(page(bench, f"/_emulator/jobs/{job}").links["log"])[0].splitlines()
    assert lines[0].endswith("earlier bytes are left out")
    assert lines[-1] == f"{11_999:0100}"


def test_a_missing_log_says_which(bench: Any) -> None:
    url = bench.emulator.url + "/_emulator/logs?group=%2Faws%2Fbatch%2Fjob&stream=a%2Fb"
    assert "no log stream a/b in the group /aws/batch/job" in read(url, status=404)[0]


@pytest.mark.parametrize("group", ["..", "."])
def test_no_group_leads_out_of_the_folder_of_the_logs(tmp_path: Path, group: str) -> None:
    (tmp_path / "secret").write_text("token")
    folder = tmp_path / "logs"
    folder.mkdir()
    store = LogStore(folder)
    assert not store.exists(group, "secret")
    assert store.create(group, "..", now=0).parent.parent == folder
