"""Pages for people below `/_emulator/`: a job with its attempts and children, and its logs.

Links in Dagster's metadata lead here on a laptop, as they lead to the AWS console elsewhere. The
pages only read. Whatever comes from jobs is escaped, and the pages forbid themselves scripts.
"""

from __future__ import annotations

import html
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from urllib.parse import parse_qs, quote, unquote

from aws_batch_emulator._core.engine import Engine
from aws_batch_emulator._core.launch import streams
from aws_batch_emulator._core.log_store import MAX_EVENTS, LogStore
from aws_batch_emulator._core.model import Attempt, Document, Job, Status
from aws_batch_emulator._http.wire import Answer

ROWS = 200
"""Rows of a table on one page."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
  color: #1b1f24; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #d8dee4;
  vertical-align: top; overflow-wrap: anywhere }
th { font-weight: 600; white-space: nowrap } .facts th { width: 11rem }
pre, code { font: 13px/1.4 ui-monospace, monospace; white-space: pre-wrap; margin: 0 }
.SUCCEEDED { color: #1a7f37 } .FAILED { color: #cf222e }
.RUNNING, .STARTING { color: #0969da } .PENDING, .RUNNABLE, .SUBMITTED { color: #9a6700 }
@media (prefers-color-scheme: dark) { body { color: #e6edf3; background: #0d1117 }
  th, td { border-color: #30363d } a { color: #58a6ff } .SUCCEEDED { color: #3fb950 }
  .FAILED { color: #f85149 } .RUNNING, .STARTING { color: #58a6ff }
  .PENDING, .RUNNABLE, .SUBMITTED { color: #d29922 } }
"""


class Pages:
    """Answers to `GET /_emulator/jobs`, `jobs/<id>` and `logs?group=…&stream=…`."""

    def __init__(self, *, engine: Engine, logs: LogStore) -> None:
        self._engine, self._logs = engine, logs

    def page(self, path: str, query: str) -> Answer | None:
        """Return the page at a path below `/_emulator/`; None if there is none of that name."""
        given = {key: values[0] for key, values in parse_qs(query).items()}
        if path == "logs":
            return self._log(given.get("group", ""), given.get("stream", ""))
        if path in ("jobs", "jobs/"):
            return self._jobs(_start(given))
        if path.startswith("jobs/"):
            return self._job(unquote(path.removeprefix("jobs/")), given)
        return None

    def _jobs(self, start: int) -> Answer:
        with self._engine.step():
            jobs = [job for job in reversed(self._engine.jobs.values()) if not job.lost]
            rows = [
                [_time(job.created_at), _link(job), _state(job), _text(job.status_reason)]
                for job in jobs[start : start + ROWS]
            ]
        body = "<h1>Jobs of the embedded AWS Batch</h1>"
        body += _table(["submitted", "job", "state", "reason"], rows)
        return _html("Jobs", body + _more(len(jobs), start, ""))

    def _job(self, job_id: str, given: Mapping[str, str]) -> Answer:
        with self._engine.step():
            job = self._engine.find(job_id)
            if job is None:
                text = f"<h1>No such job</h1><p>The embedded AWS Batch knows no job {_text(job_id)}"
                text += " (any more): ended jobs are forgotten after 7 days.</p>"
                return _html("No such job", text + _all_jobs(), status=404)
            body = f"<h1>{_text(_name(job))} {_state(job)}</h1>{_facts(job)}"
            if job.children is None:
                body += _attempts(job)
            else:
                body += _children(job, job.children, given.get("state", ""), _start(given))
            return _html(_name(job), body + _all_jobs(), again=not job.final)

    def _log(self, group: str, stream: str) -> Answer:
        logs = self._logs
        if not logs.exists(group, stream):
            return _plain(f"There is no log stream {stream} in the group {group}.\n", status=404)
        events = logs.backward(group, stream, end=logs.size(group, stream), limit=MAX_EVENTS)
        left_out = events[0].start if events else 0
        head = f"… {left_out:,} earlier bytes are left out\n" if left_out else ""
        return _plain(head + "".join(f"{event.message}\n" for event in events))


def _facts(job: Job) -> str:
    spec, container = job.spec, job.spec.container
    facts = {
        "reason": _text(job.status_reason),
        "id": _text(job.id),
        "array": _link(job.parent) if job.parent is not None else "",
        "queue": _text(spec.queue),
        "definition": _text(spec.definition_arn.rpartition("/")[2]),
        "image": _text(container.get("image")),
        "command": f"<code>{_text(shlex.join(container.get('command', [])))}</code>",
        "environment": _environment(container),
        "size": f"{spec.vcpus:g} vCPU, {spec.memory_mib:,} MiB",
        "timeout": f"{spec.timeout_seconds:,} s" if spec.timeout_seconds else "",
        "share identifier": _text(spec.share_identifier),
        "waits for": ", ".join(_text(d.job_id or d.type) for d in spec.depends_on),
        "tags": _text(", ".join(f"{k}={v}" for k, v in job.tags_now.items())),
        "submitted": _time(job.created_at),
        "started": _time(job.started_at),
        "ended": _time(job.stopped_at),
    }
    rows = "".join(
        f"<tr><th>{name}</th><td>{fact}</td></tr>" for name, fact in facts.items() if fact
    )
    return f'<table class="facts">{rows}</table>'


def _environment(container: Document) -> str:
    lines = (f"{v['name']}={v.get('value', '')}" for v in container.get("environment", []))
    text = "\n".join(lines)
    return f"<pre>{_text(text)}</pre>" if text else ""


def _attempts(job: Job) -> str:
    rows = [
        [
            str(number),
            _time(attempt.started_at),
            _seconds(attempt),
            "" if attempt.exit_code is None else str(attempt.exit_code),
            _text(": ".join(t for t in (attempt.status_reason, attempt.reason) if t)),
            # A container that never ran has written no log.
            _logs(job, attempt.task_id) if attempt.log_stream else "",
        ]
        for number, attempt in enumerate(job.attempts, 1)
    ]
    if job.run is not None:
        run = job.run
        log = _logs(job, run.task_id) if run.log_stream else ""
        rows.append([str(run.number), _time(run.started_at), "", "", "under way", log])
    heads = ["attempt", "started", "seconds", "exit code", "reason", "log"]
    return "<h2>Attempts</h2>" + (_table(heads, rows) if rows else "<p>None yet.</p>")


def _children(job: Job, children: Sequence[Job], state: str, start: int) -> str:
    counts = job.counts or {}
    shown = [c for c in children if not c.lost and state in ("", c.status.value)]
    # What went wrong is what one looks for.
    shown.sort(key=lambda child: child.status is not Status.FAILED)
    links = [f'<a href="?">all {len(children):,}</a>'] + [
        f'<a class="{s.value}" href="?state={s.value}">{s.value} {counts[s]:,}</a>'
        for s in Status
        if counts.get(s)
    ]
    rows = [_child_row(child) for child in shown[start : start + ROWS]]
    heads = ["child", "state", "attempts", "exit code", "reason", "log"]
    body = f"<h2>Children</h2><p>{' · '.join(links)}</p>{_table(heads, rows)}"
    return body + _more(len(shown), start, f"state={quote(state)}&amp;" if state else "")


def _child_row(child: Job) -> list[str]:
    last = child.attempts[-1] if child.attempts else None
    code = "" if last is None or last.exit_code is None else str(last.exit_code)
    reasons = [child.status_reason, last.reason if last is not None else None]
    live = child.run.task_id if child.run is not None and child.run.log_stream else None
    ended = last.task_id if last is not None and last.log_stream else None
    log = _logs(child, live or ended) if live or ended else ""
    number = len(child.attempts) + (child.run is not None)
    return [
        f'<a href="/_emulator/jobs/{quote(child.id)}">{child.index}</a>',
        _state(child),
        str(number),
        code,
        _text(": ".join(reason for reason in reasons if reason)),
        log,
    ]


def _logs(job: Job, task_id: str | None) -> str:
    if task_id is None:
        return ""
    links = []
    pairs = zip(job.spec.containers, streams(job.spec, task_id), strict=True)
    for container, (group, stream) in pairs:
        href = f"/_emulator/logs?group={quote(group, safe='')}&amp;stream={quote(stream, safe='')}"
        links.append(f'<a href="{href}">{_text(container.get("name", "log"))}</a>')
    return " ".join(links)


def _seconds(attempt: Attempt) -> str:
    if attempt.started_at is None:
        return ""
    return f"{(attempt.stopped_at - attempt.started_at) / 1000:,.1f}"


def _name(job: Job) -> str:
    return job.spec.name if job.index is None else f"{job.spec.name} [{job.index}]"


def _link(job: Job) -> str:
    size = f" ({job.size:,} children)" if job.size else ""
    return f'<a href="/_emulator/jobs/{quote(job.id)}">{_text(job.spec.name)}</a>{size}'


def _all_jobs() -> str:
    return '<p><a href="/_emulator/jobs">all jobs</a></p>'


def _state(job: Job) -> str:
    return f'<span class="{job.status.value}">{job.status.value}</span>'


def _text(value: object) -> str:
    return "" if value is None else html.escape(str(value), quote=True)


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    return f"{datetime.fromtimestamp(milliseconds / 1000, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    lines = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _start(given: Mapping[str, str]) -> int:
    text = given.get("start", "0")
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _more(total: int, start: int, query: str) -> str:
    if total <= start + ROWS:
        return ""
    left = total - start - ROWS
    return f'<p><a href="?{query}start={start + ROWS}">{left:,} more</a></p>'


def _html(title: str, body: str, *, status: int = 200, again: bool = False) -> Answer:
    # Two seconds are enough for a person, and cost nothing.
    refresh = '<meta http-equiv="refresh" content="2">' if again else ""
    document = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{refresh}'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )
    headers = {**_HEADERS, "Content-Type": "text/html; charset=utf-8"}
    return Answer(status, document.encode("utf-8", "replace"), headers)


def _plain(text: str, *, status: int = 200) -> Answer:
    headers = {**_HEADERS, "Content-Type": "text/plain; charset=utf-8"}
    return Answer(status, text.encode("utf-8", "replace"), headers)
