"""Dagster instances for tests: the event log of `infra/dagster/local.yaml`, no queue of runs.

What steps print isn't copied: that takes two processes for each step, and in a thread Dagster now
and then waits for them for ever.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

_OVERRIDES = {
    "run_coordinator": {
        "module": "dagster.core.run_coordinator",
        "class": "DefaultRunCoordinator",
    },
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    },
}


@contextmanager
def local_instance() -> Iterator[dg.DagsterInstance]:
    """An instance in a folder of its own, removed in the end."""
    with tempfile.TemporaryDirectory() as folder:
        events = {
            "module": "dagster_aws_batch.events.sqlite",
            "class": "PooledSqliteEventLogStorage",
            "config": {"base_dir": folder},
        }
        with dg.instance_for_test(overrides=_OVERRIDES | {"event_log_storage": events}) as made:
            yield made
