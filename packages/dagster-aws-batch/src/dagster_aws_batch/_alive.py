"""Whether a run is still alive: a tag that its process renews, and a sensor that watches the tags.

Dagster believes a run to be under way until its process says otherwise; a process that was killed
(SIGKILL, a reboot, a code server that went with its runs) says nothing, and then sensors, queue and
people wait for it for ever. So a step that runs jobs renews a run tag, and `dead_runs` reports runs
as failed whose tag no longer changes, whatever launched them. `BatchJobs.run` calls `keep_alive`.
"""

import json
import threading
import time
from collections.abc import Mapping

import dagster as dg

# No `from __future__ import annotations` here: Dagster reads the annotations of sensor functions.

#: Run tag: changes while the run's process lives.
ALIVE_TAG = "dagster-aws-batch/alive"
#: Seconds between two changes of the tag; each is one row of the database, overwritten.
BEAT_SECONDS = 20.0
#: Seconds between two ticks of the sensor.
TICK_SECONDS = 60
#: A run is dead when so many ticks in a row saw the same tag: ticks, not seconds, so that a laptop
#: that slept or a daemon that was down ends nothing.
TICKS = 5

#: A run whose tag can't be renewed for so many beats is given up: an hour.
_MOST_FAILURES = 180

# The runs whose steps this process executes, with their instance and failures in a row.
_beating: dict[str, tuple[dg.DagsterInstance, int]] = {}
_lock = threading.Lock()


def keep_alive(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> None:
    """Renew the run's tag from now on, as long as this process lives.

    Args:
        context: of a step of the run; further calls in the same process do nothing.
    """
    run_id, instance = context.run.run_id, context.instance
    with _lock:
        if run_id in _beating:
            return
        first = not _beating
        _beating[run_id] = (instance, 0)
    instance.add_run_tags(run_id, {ALIVE_TAG: f"{time.time():.3f}"})
    if first:
        threading.Thread(target=_beat, name="run-alive", daemon=True).start()


def _beat() -> None:
    while True:
        time.sleep(BEAT_SECONDS)
        for run_id, (instance, failures) in list(_beating.items()):
            try:
                run = instance.get_run_by_id(run_id)
                over = run is None or run.is_finished
                if not over:
                    instance.add_run_tags(run_id, {ALIVE_TAG: f"{time.time():.3f}"})
                failures = 0
            except Exception:  # noqa: BLE001 - the database may be away for a while
                failures += 1
                over = failures > _MOST_FAILURES
            with _lock:
                if over:
                    del _beating[run_id]
                else:
                    _beating[run_id] = (instance, failures)
        with _lock:
            if not _beating:
                return


def unchanged(
    before: Mapping[str, tuple[str, int]], tags: Mapping[str, str]
) -> dict[str, tuple[str, int]]:
    """For each run its tag, and in how many ticks in a row it has been seen. Pure.

    Args:
        before: what this function returned at the last tick.
        tags: the tags of the runs that are under way now, by run id.

    Returns:
        The same runs as `tags`, each with its tag and a number of at least 1.
    """
    return {
        run: (tag, before[run][1] + 1 if run in before and before[run][0] == tag else 1)
        for run, tag in tags.items()
    }


def dead_runs_sensor() -> dg.SensorDefinition:
    """The sensor `dead_runs`; it reports runs as failed whose process is gone.

    Returns:
        The sensor. It is on from the start: what waits for a dead run waits for ever.
    """

    @dg.sensor(
        name="dead_runs",
        target=None,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports runs as failed that give no sign of life for some minutes.",
    )
    def dead_runs(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        instance = context.instance
        started = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        tags = {run.run_id: run.tags[ALIVE_TAG] for run in started if ALIVE_TAG in run.tags}
        before = {run: (tag, int(ticks)) for run, (tag, ticks) in _cursor(context.cursor).items()}
        seen = unchanged(before, tags)
        dead = [run for run in started if seen.get(run.run_id, ("", 0))[1] > TICKS]
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
            skip_reason=f"reported as failed: {names}" if dead else f"{len(tags)} runs are alive",
            cursor=json.dumps(seen),
        )

    return dead_runs


def _cursor(text: str | None) -> dict[str, list[str]]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
