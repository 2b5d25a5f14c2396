"""Runs in processes of their own, which SIGKILL can end at any event, as `dg launch` is ended."""

import os
import signal
import warnings
from contextlib import ExitStack
from multiprocessing import get_context

import dagster as dg

#: Children start with the project imported, which takes seconds.
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.model.processes", "wordfreq_dagster.definitions"])
_SECONDS = 180


def start(ref, settings, *, job, environment=None, die_at=None, partition=None, retry=None):
    """Start a run in a process; it kills itself when it has written `die_at` events."""
    arguments = (ref, settings, environment or {}, job, die_at, partition, retry)
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


def _run(ref, settings, environment, job, die_at, partition, retry):
    global _settings
    _settings = settings
    os.environ.update(environment)
    log = os.open(f"{settings.home}/runs.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    with ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.from_ref(ref))
        if die_at is not None:
            _die_at(instance, die_at)
        tags = {"dagster/partition": partition} if partition is not None else {}
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


def _die_at(instance, number):
    """Kill this process when the event of that number has been stored."""
    storage = instance.event_log_storage
    left = number

    def counted(store):
        def storing(events):
            nonlocal left
            store(events)
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

        return storing

    storage.store_event = counted(storage.store_event)
    storage.store_event_batch = counted(storage.store_event_batch)
