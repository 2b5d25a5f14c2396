"""An embedded AWS Batch for development and tests: the real REST-JSON API on a loopback port.

Plain boto3 and the `aws` command work against it, through AWS_ENDPOINT_URL_BATCH and
AWS_ENDPOINT_URL_CLOUDWATCH_LOGS. See docs/batch-emulator.md. It imports nothing of the rest of
this project.
"""

from wordfreq_dagster.batch_emulator.clock import Clock, SystemClock, VirtualClock
from wordfreq_dagster.batch_emulator.container_runner import ContainerRunner
from wordfreq_dagster.batch_emulator.emulator import EmbeddedBatch
from wordfreq_dagster.batch_emulator.errors import EmulatorError
from wordfreq_dagster.batch_emulator.faults import Fault, Faults
from wordfreq_dagster.batch_emulator.process import Endpoint, ensure_running, stop_running
from wordfreq_dagster.batch_emulator.runners import (
    Runner,
    SimulatedJob,
    SimulatedRun,
    SimulatedRunner,
)
from wordfreq_dagster.batch_emulator.subprocess_runner import SubprocessRunner

__all__ = [
    "Clock",
    "ContainerRunner",
    "EmbeddedBatch",
    "EmulatorError",
    "Endpoint",
    "Fault",
    "Faults",
    "Runner",
    "SimulatedJob",
    "SimulatedRun",
    "SimulatedRunner",
    "SubprocessRunner",
    "SystemClock",
    "VirtualClock",
    "ensure_running",
    "stop_running",
]
