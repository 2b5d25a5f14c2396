"""Whether a run is still alive: a tag that its process renews, and a sensor that watches the runs.

Dagster believes a run to be under way until its process says otherwise; a process that was killed
(SIGKILL, a reboot, a code server that went with its runs) says nothing, and then sensors, queue and
people wait for it for ever. So the process renews a run tag (`signs_of_life`) while it has a
resource `BatchJobs`. The sensor `dead_runs` reports runs as failed, whatever launched them, whose
tag no longer changes, or that have no step under way and write no event.
"""

import json
import os
import threading
import time
from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg

# No `from __future__ import annotations` here: Dagster reads the annotations of sensor functions.

#: Run tag: changes while the run's process lives; empty once the process has ended its part.
ALIVE_TAG = "dagster-aws-batch/alive"
#: Seconds between two changes of the tag; each is one row of the database, overwritten.
BEAT_SECONDS = 20.0
#: Seconds between two ticks of the sensor.
TICK_SECONDS = 60
#: A run is dead when the tick after so many others has seen the same sign: ticks, not seconds, so
#: that a laptop that slept or a daemon that was down ends nothing. Steps that wait for a place in
#: a concurrency pool write an event every 5 minutes; this is longer.
TICKS = 6

#: A run whose tag can't be renewed for so many beats is given up: an hour.
_MOST_FAILURES = 180
# CANCELING is left to Dagster's own run monitoring, which bounds it.
_UNDER_WAY = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
_BEGUN = {
    dg.DagsterEventType.STEP_WORKER_STARTING,
    dg.DagsterEventType.STEP_START,
    dg.DagsterEventType.STEP_RESTARTED,
}
_ENDED = {
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SKIPPED,
    dg.DagsterEventType.STEP_UP_FOR_RETRY,
}


class _Beating:
    """A run that this process gives signs of life for, as often as something asks for it."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.asked = 0
        self.failures = 0


_beating: dict[str, _Beating] = {}
_lock = threading.Lock()
# Held while tags are written: Dagster reads all tags of a run and writes them back, so that two
# threads at once would lose one's; and a renewal that is late must not follow the last word.
_writing = threading.Lock()
_thread: threading.Thread | None = None


@contextmanager
def signs_of_life(instance: dg.DagsterInstance | None, run_id: str | None) -> Generator[None]:
    """Renew the run's tag as long as the block and the process live.

    Args:
        instance: where the run is; None: nothing is done.
        run_id: the run; None: nothing is done.
    """
    if instance is None or run_id is None:
        yield
        return
    _begin(instance, run_id)
    try:
        yield
    finally:
        _end(instance, run_id)


def _begin(instance: dg.DagsterInstance, run_id: str) -> None:
    global _thread
    with _lock:
        beating = _beating.setdefault(run_id, _Beating(instance))
        beating.asked += 1
        if beating.asked > 1:
            return
        if _thread is None:
            _thread = threading.Thread(target=_beat, name="run-alive", daemon=True)
            _thread.start()
    with suppress(Exception):  # the database may be away for a moment; the next beat tells
        add_tags(instance, run_id, {ALIVE_TAG: _sign()})


def _end(instance: dg.DagsterInstance, run_id: str) -> None:
    with _lock:
        beating = _beating.get(run_id)
        if beating is None:
            return
        beating.asked -= 1
        if beating.asked:
            return
        del _beating[run_id]
    # What other processes of the run do from now on may take long and give no sign of life.
    with suppress(Exception):
        add_tags(instance, run_id, {ALIVE_TAG: ""})


def add_tags(instance: dg.DagsterInstance, run_id: str, tags: dict[str, str]) -> None:
    """Give the run these tags; other threads of this process lose none of theirs."""
    with _writing:
        instance.add_run_tags(run_id, tags)


def _beat() -> None:
    global _thread
    while True:
        time.sleep(BEAT_SECONDS)
        with _lock:
            runs = dict(_beating)
            if not runs:
                _thread = None
                return
        for run_id, beating in runs.items():
            try:
                run = beating.instance.get_run_by_id(run_id)
                over = run is None or run.is_finished
                with _writing:
                    if not over and _beating.get(run_id) is beating:
                        beating.instance.add_run_tags(run_id, {ALIVE_TAG: _sign()})
                beating.failures = 0
            except Exception:  # noqa: BLE001 - the database may be away for a while
                beating.failures += 1
                over = beating.failures > _MOST_FAILURES
            if over:
                with _lock:
                    _beating.pop(run_id, None)


def _sign() -> str:
    return f"{time.time():.3f} {_machine()} {os.getpid()} {_began(os.getpid())}"


def _machine() -> str:
    """This machine since it was started, and where its process numbers hold; '' if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        return ""


def _began(pid: int) -> str:
    """When the process was started, as its number may be used again; '' if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def is_gone(run: dg.DagsterRun) -> bool | None:
    """Whether the process that last gave a sign of life for the run has ended.

    Args:
        run: as read just now.

    Returns:
        None where that can't be known: no sign of life so far, or one of another machine.
    """
    parts = run.tags.get(ALIVE_TAG, "").split(" ")
    if len(parts) != 4 or not parts[1] or parts[1] != _machine():
        return None
    return _began(int(parts[2])) != parts[3]


def unchanged(
    before: Mapping[str, tuple[str, int]], signs: Mapping[str, str]
) -> dict[str, tuple[str, int]]:
    """For each run its sign of life, and in how many ticks in a row it has been seen. Pure.

    Args:
        before: what this function returned at the last tick.
        signs: the signs of the runs that are under way now, by run id.

    Returns:
        The same runs as `signs`, each with its sign and a number of at least 1.
    """
    return {
        run: (sign, before[run][1] + 1 if run in before and before[run][0] == sign else 1)
        for run, sign in signs.items()
    }


def sign_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """What changes while the run is alive; None where nothing has to.

    A run that has a step under way and doesn't renew its tag is none of ours: whatever it does may
    take hours without an event. One without such a step has only to begin or to end, and then its
    events are the sign: it was killed while it started, or just before its end.
    """
    if tag := run.tags.get(ALIVE_TAG):
        return tag
    steps = instance.get_records_for_run(run.run_id, of_type=_BEGUN | _ENDED).records
    if steps_under_way(record.event_log_entry.dagster_event for record in steps):
        return None
    latest = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    return f"event {latest[0].storage_id if latest else 0}"


def steps_under_way(events: Iterable[dg.DagsterEvent | None]) -> Collection[str]:
    """The keys of steps that began and haven't ended, by the run's events in order. Pure."""
    under_way: set[str] = set()
    for event in events:
        if event is None or event.step_key is None:
            continue
        if event.event_type in _BEGUN:
            under_way.add(event.step_key)
        else:
            under_way.discard(event.step_key)
    return under_way


@dg.sensor(
    name="dead_runs",
    target=None,
    minimum_interval_seconds=TICK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports runs as failed that give no sign of life for some minutes.",
)
def _dead_runs(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    instance = context.instance
    under_way = instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY))
    signs = {run.run_id: sign for run in under_way if (sign := sign_of(instance, run))}
    before = {run: (sign, int(ticks)) for run, (sign, ticks) in _cursor(context.cursor).items()}
    seen = unchanged(before, signs)
    dead = [run for run in under_way if seen.get(run.run_id, ("", 0))[1] > TICKS]
    for run in dead:
        instance.report_run_failed(
            run,
            f"no sign of life from the run's process in {TICKS} ticks of {TICK_SECONDS} s: it "
            "was killed, or its machine is gone. What it has done is kept; its AWS Batch jobs "
            "are ended or found again by a retry. Start the job again.",
        )
        del seen[run.run_id]
    names = ", ".join(run.run_id[:8] for run in dead)
    return dg.SensorResult(
        skip_reason=f"reported as failed: {names}" if dead else f"{len(signs)} runs are alive",
        cursor=json.dumps(seen),
    )


def dead_runs_sensor() -> dg.SensorDefinition:
    """The sensor `dead_runs`; it reports runs as failed whose process is gone.

    Returns:
        The sensor, always the same one, so that a code location may be given it more than once. It
        is on from the start: what waits for a dead run waits for ever.
    """
    return _dead_runs


def _cursor(text: str | None) -> dict[str, list[str]]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
