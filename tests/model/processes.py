"""Runs in processes of their own, as `dg launch` starts them, that can end at any event."""

import json
import os
import pickle
import signal
import subprocess
import sys
import warnings
from contextlib import ExitStack, suppress
from multiprocessing import forkserver, get_context
from pathlib import Path
from types import SimpleNamespace

import dagster as dg

from dagster_aws_batch import dead_runs_sensor
from dagster_aws_batch._alive import TICKS
from tests.waiting import until
from wordfreq_batch.cli.main import main as wordfreq
from wordfreq_dagster.files.stages import LOCAL_IMAGES

#: Children start with the project imported, which takes seconds.
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.model.processes", "wordfreq_dagster.definitions"])
_SECONDS = 600
_PREPARED = "WORDFREQ_TEST_PREPARED"
_built = {}


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
    key = settings.model_dump_json()
    if key not in _built:
        _built[key] = _definitions(settings)
    return _built[key]


def _definitions(settings):
    from wordfreq_dagster.definitions import build_definitions

    warnings.simplefilter("ignore")
    alone = [
        dg.define_asset_job(f"only_{name}", selection=dg.AssetSelection.assets(name))
        for name in ("word_counts", "ranking", "csv_rows")
    ]
    return dg.Definitions.merge(build_definitions(settings), dg.Definitions(jobs=alone))


def prepare(every):
    """Let the processes of these settings begin with their definitions, which takes half a second.

    Of use before the first process starts; later ones build theirs once.
    """
    os.environ[_PREPARED] = pickle.dumps(every).hex()
    forkserver.ensure_running()
    del os.environ[_PREPARED]


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


class _Forked:
    """A container as a copy of the emulator's process, which has all of `wordfreq` loaded.

    What the emulator uses of `subprocess.Popen`: it takes a tenth of the time.
    """

    def __init__(self, argv, *, stdout, env, cwd, **_):
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.setsid()
                for stream in (1, 2):
                    os.dup2(stdout.fileno(), stream)
                os.environ.clear()
                os.environ.update(env)
                code = wordfreq(argv[3:])  # after python -m wordfreq_batch
            finally:
                os._exit(code)

    def wait(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def start_emulator(settings):
    """The embedded AWS Batch of these settings, for models in which it isn't killed."""
    settings.local_folder.mkdir(parents=True, exist_ok=True)
    process = _CONTEXT.Process(target=_emulate, args=(str(settings.local_folder),))
    process.start()
    until((settings.local_folder / "endpoint.json").exists, what="the embedded AWS Batch")
    return process


def _emulate(folder):
    from aws_batch_emulator import __main__ as program
    from aws_batch_emulator._runners import processes

    log = os.open(f"{folder}/emulator.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    processes.subprocess = SimpleNamespace(**vars(subprocess) | {"Popen": _Forked})
    os._exit(program.main(["--state", folder, "--images", json.dumps(LOCAL_IMAGES)]))


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


def end_code_server(model, event):
    """Start a run of the model as the UI does, and kill its code server at about that event.

    The run's process, the server's child, may live on: wait until the run has ended by itself.
    """
    folder = Path(model.instance.root_directory)
    changed = model.settings.model_dump(mode="json", exclude_unset=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("WORDFREQ_", "DAGST"))}
    environment |= {f"WORDFREQ_{name.upper()}": str(value) for name, value in changed.items()}
    environment |= model.environment | {"DAGSTER_HOME": str(folder)}
    dagster = Path(sys.executable).with_name("dagster")
    launched = subprocess.Popen(
        [dagster, "job", "launch", "-w", "workspace.yaml", "-j", model.job],
        cwd=Path(__file__).parents[2],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    [run] = until(lambda: model.instance.get_runs(limit=1), what="a run")
    until(lambda: len(model.instance.all_logs(run.run_id)) >= event, what=f"event {event}")
    servers = [pid for pid, command in _session(launched.pid).items() if b"grpc" in command]
    assert servers, "no code server"
    for pid in servers:
        os.kill(pid, signal.SIGKILL)
    launched.wait(timeout=60)
    until(lambda: not _session(launched.pid), what=lambda: _session(launched.pid))


def _session(leader):
    """The living processes of a session, with their commands."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state = (process / "stat").read_text().rpartition(")")[2].split()
            if int(state[3]) == leader and state[0] not in "ZX":
                found[int(process.name)] = (process / "cmdline").read_bytes()
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


if _PREPARED in os.environ:
    for _each in pickle.loads(bytes.fromhex(os.environ[_PREPARED])):
        jobs(_each)
