"""Report all partitions that aren't reported yet, in a process that can end by SIGKILL meanwhile.

The processes are forked from one that has Dagster imported, which takes seconds; they open their
connections themselves.
"""

import os
import signal
from multiprocessing import get_context

import dagster as dg
import sqlalchemy

from dagster_aws_batch.events.partitions import log_materializations, materialized_versions

FILES = dg.DynamicPartitionsDefinition(name="stored")
KEY = dg.AssetKey("files")
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


def reported(files, *, end=None, seconds=120):
    """Report so many partitions in a process of its own, which dies at statement `end`.

    Returns its exit code and, if it came to its end, how many statements the reporting took.
    """
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_report, args=(dict(os.environ), files, end, sender))
    process.start()
    sender.close()
    process.join(seconds)
    assert process.exitcode is not None, f"reporting took more than {seconds} s"
    return process.exitcode, receiver.recv() if process.exitcode == 0 else None


def _report(environment, files, end, sender):
    os.environ |= environment
    statements = 0

    def count(*_):
        nonlocal statements
        statements += 1
        if statements == end:
            os.kill(os.getpid(), signal.SIGKILL)

    @dg.asset(partitions_def=FILES, output_required=False)
    def files_asset(context: dg.AssetExecutionContext):
        known = materialized_versions(context.instance, KEY)
        missing = [f"k{number}" for number in range(files) if f"k{number}" not in known]
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", count)
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, "commit", count)
        log_materializations(
            context,
            [
                dg.AssetMaterialization(KEY, partition=key, tags={"dagster/data_version": "v"})
                for key in missing
            ],
        )

    with dg.DagsterInstance.get() as instance:
        assert dg.materialize([files_asset], instance=instance).success
    sender.send(statements)
