"""Runs in processes of their own, as `dg launch` starts them, that can end at any event."""

import json
import os
import signal
import warnings
from contextlib import ExitStack, suppress
from multiprocessing import get_context
from pathlib import Path

import dagster as dg

from dagster_aws_batch import dead_runs_sensor
from dagster_aws_batch._alive import TICKS

#: Children start with the project imported, which takes seconds.
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.model.processes", "wordfreq_dagster.definitions"])
_SECONDS = 180


def start(
    ref,
    settings,
    *,
    job,
    environment=None,
    die_at=None,
    dies_of="SIGKILL",
    partition=None,
    retry=None,
    tags=None,
):
    """Start a run in a process; one of `ENDS` happens when it has written `die_at` events."""
    tags = dict(tags or {}) | ({"dagster/partition": partition} if partition is not None else {})
    arguments = (ref, settings, environment or {}, job, die_at, dies_of, tags, retry)
    process = _CONTEXT.Process(target=_run, args=arguments, daemon=True)
    process.start()
    return process


def ended(process):
    """Wait for its end; True if the run was successful."""
    process.join(_SECONDS)
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"a run took more than {_SECONDS} s")
    return process.exitcode == 0


def report_dead_runs(instance):
    """Let the deployment's own sensor see them, in ticks that follow each other at once."""
    sensor, cursor = dead_runs_sensor(), None
    for _ in range(TICKS + 1):
        with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
            cursor = sensor.evaluate_tick(context).cursor
    under_way = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    assert not under_way, "a dead run stays under way"


def jobs(settings):
    """The project, with jobs for an asset and its checks alone, as automation and UI start them."""
    from wordfreq_dagster.definitions import build_definitions

    warnings.simplefilter("ignore")
    alone = [
        dg.define_asset_job(f"only_{name}", selection=dg.AssetSelection.assets(name))
        for name in ("word_counts", "ranking", "csv_rows")
    ]
    return dg.Definitions.merge(build_definitions(settings), dg.Definitions(jobs=alone))


_settings = None


def _reconstructed(job):
    return jobs(_settings).resolve_job_def(job)


def _run(ref, settings, environment, job, die_at, dies_of, tags, retry):
    global _settings
    _settings = settings
    os.environ.update(environment)
    log = os.open(f"{settings.home}/runs.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    with ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.from_ref(ref))
        if die_at is not None:
            _at(instance, die_at, lambda: ENDS[dies_of](settings))
        target = dg.build_reconstructable_job(
            "tests.model.processes", "_reconstructed", reconstructable_args=(job,)
        )
        options = {}
        if retry is not None:
            options["reexecution_options"] = dg.ReexecutionOptions.from_failure(retry, instance)
            tags["dagster/is_resume_retry"] = "true"
        result = stack.enter_context(
            dg.execute_job(target, instance=instance, tags=tags, raise_on_error=False, **options)
        )
        os._exit(0 if result.success else 1)


def _kill_emulator(settings):
    """Kill the embedded AWS Batch; its jobs go on."""
    with suppress(OSError, ValueError):  # not started yet
        os.kill(json.loads((settings.local_folder / "endpoint.json").read_text())["pid"], 9)


def _kill_everything(settings):
    """Kill what was started for this home: emulator, supervisors, jobs, and this process."""
    for pid in processes_of(settings.home):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def processes_of(home):
    """The processes that have this folder in their command or environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if str(home).encode() in text and int(process.name) != os.getpid():
                found.append(int(process.name))
    return found


#: What happens to a run at an event.
ENDS = {
    "SIGKILL": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "Ctrl-C": lambda _: os.kill(os.getpid(), signal.SIGINT),
    "killed emulator": _kill_emulator,
    "reboot": _kill_everything,
}


def _at(instance, number, act):
    """Act once, when the event of that number has been stored."""
    storage = instance.event_log_storage
    left = number

    def counted(store):
        def storing(events):
            nonlocal left
            store(events)
            left -= 1
            if left == 0:
                act()

        return storing

    storage.store_event = counted(storage.store_event)
    storage.store_event_batch = counted(storage.store_event_batch)
