"""An embedded AWS Batch for development and tests: the real REST-JSON API on a loopback port.

Plain boto3 and the `aws` command work against it, through AWS_ENDPOINT_URL_BATCH and
AWS_ENDPOINT_URL_CLOUDWATCH_LOGS. See docs/guide.md. It imports nothing of the rest of
this project.
"""

from types import FunctionType

from aws_batch_emulator._core.clock import Clock, SystemClock, VirtualClock
from aws_batch_emulator._core.errors import EmulatorError
from aws_batch_emulator._core.faults import Fault, Faults
from aws_batch_emulator._core.runner import Runner, SimulatedJob, SimulatedRun, SimulatedRunner
from aws_batch_emulator._emulator import EmbeddedBatch
from aws_batch_emulator._process import Endpoint, ensure_running, stop_running
from aws_batch_emulator._runners.containers import ContainerRunner
from aws_batch_emulator._runners.processes import SubprocessRunner

__version__ = "0.1.0"

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

# Users meet these names in tracebacks and help texts: they are shown as what they are imported by.
for _public in [globals()[_name] for _name in __all__]:
    # On Python 3.10 isinstance() takes an alias of Callable for a type.
    if issubclass(type(_public), (type, FunctionType)):
        _public.__module__ = __name__
