"""What each job fault does to an attempt; the state machine calls this when it starts one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aws_batch_emulator._core.model import (
    HOST_LOST,
    NOT_STARTED,
    OUT_OF_MEMORY,
    Exit,
    Job,
    Run,
)

if TYPE_CHECKING:
    from aws_batch_emulator._core.faults import Fault
    from aws_batch_emulator._core.machine import Machine

_UNSTARTABLE = {
    "image_pull": (
        "CannotPullContainerError: Error response from daemon: pull access denied for {image}, "
        "repository does not exist or may require 'docker login'"
    ),
    "start_failure": (
        "CannotStartContainerError: Error response from daemon: failed to create task for container"
    ),
    "agent": "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s",
}


def strike(
    machine: Machine,
    later: Callable[[float, Callable[[], None]], None],
    job: Job,
    run: Run,
    fault: Fault,
) -> bool:
    """Apply the fault; return whether the attempt is not to be started at all."""
    if fault.fault in _UNSTARTABLE:
        text = fault.message or _UNSTARTABLE[fault.fault]
        reason = text.replace("{image}", str(job.spec.container.get("image", "")))
        end = Exit(exit_code=None, reason=reason, status_reason=NOT_STARTED)
        later(fault.seconds, lambda: machine.task_ended(run.task_id, end))
        return True
    if fault.fault == "lost":
        later(fault.seconds, lambda: _lose(machine, job))
        return False
    if fault.fault == "spot_reclaim":
        end = Exit(exit_code=None, status_reason=fault.message or HOST_LOST.format(run.instance_id))
    else:
        end = Exit(exit_code=137, reason=fault.message or OUT_OF_MEMORY)
    later(fault.seconds, lambda: machine.kill(run.task_id, end))
    return False


def _lose(machine: Machine, job: Job) -> None:
    job.lost = True
    machine.touch(job)
