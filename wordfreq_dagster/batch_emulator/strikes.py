"""What each job fault does to an attempt; the engine calls this when it starts one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordfreq_dagster.batch_emulator.model import (
    HOST_LOST,
    NOT_STARTED,
    OUT_OF_MEMORY,
    Exit,
    Job,
    Run,
)

if TYPE_CHECKING:
    from wordfreq_dagster.batch_emulator.engine import Engine
    from wordfreq_dagster.batch_emulator.faults import Fault

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


def strike(engine: Engine, job: Job, run: Run, fault: Fault) -> bool:
    """Apply the fault; return whether the attempt is not to be started at all."""
    task_id = run.task_id
    if fault.fault in _UNSTARTABLE:
        text = fault.message or _UNSTARTABLE[fault.fault]
        reason = text.replace("{image}", str(job.spec.container.get("image", "")))
        end = Exit(exit_code=None, reason=reason, status_reason=NOT_STARTED)
        engine.later(fault.seconds, lambda: engine.task_ended(task_id, end))
        return True
    if fault.fault == "lost":
        engine.later(fault.seconds, lambda: setattr(job, "lost", True))
    elif fault.fault == "spot_reclaim":
        lost = fault.message or HOST_LOST.format(run.instance_id)
        engine.later(
            fault.seconds, lambda: engine.kill(task_id, Exit(exit_code=None, status_reason=lost))
        )
    elif fault.fault == "out_of_memory":
        reason = fault.message or OUT_OF_MEMORY
        engine.later(
            fault.seconds, lambda: engine.kill(task_id, Exit(exit_code=137, reason=reason))
        )
    return False
