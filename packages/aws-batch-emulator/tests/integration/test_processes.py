"""Jobs as real processes: environment, exit codes, logs, signals, limits of the machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from aws_batch_emulator import EmbeddedBatch, SubprocessRunner

SHOW_ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"


def test_a_job_sees_its_variables_and_writes_its_log(workshop: Any) -> None:
    environment = [{"name": "MINE", "value": "a b\n%ü"}]
    job = workshop.submit("python", SHOW_ENVIRONMENT, overrides={"environment": environment})
    shown = workshop.wait(job)
    assert shown["status"] == "SUCCEEDED"
    seen = json.loads(workshop.lines(shown)[0])
    assert seen["MINE"] == "a b\n%ü"
    assert seen["INHERITED"] == "yes"
    assert {k: v for k, v in seen.items() if k.startswith("AWS_BATCH")} == {
        "AWS_BATCH_JOB_ID": job,
        "AWS_BATCH_JOB_ATTEMPT": "1",
        "AWS_BATCH_CE_NAME": "local",
        "AWS_BATCH_JQ_NAME": "local",
    }


def test_array_children_get_their_index(workshop: Any) -> None:
    job = workshop.submit(
        "shell", "echo index $AWS_BATCH_JOB_ARRAY_INDEX", arrayProperties={"size": 3}
    )
    assert workshop.wait(job)["status"] == "SUCCEEDED"
    lines = [workshop.lines(workshop.job(f"{job}:{i}")) for i in range(3)]
    assert lines == [["index 0"], ["index 1"], ["index 2"]]


def test_exit_codes_and_signals_are_reported(workshop: Any) -> None:
    failed = workshop.submit("shell", "echo out; echo err >&2; exit 7")
    killed = workshop.submit("shell", "kill -9 $$")
    shown = workshop.wait(failed)
    assert (shown["status"], shown["container"]["exitCode"]) == ("FAILED", 7)
    assert workshop.lines(shown) == ["out", "err"]
    assert workshop.wait(killed)["container"]["exitCode"] == 137


def test_an_unknown_image_and_a_missing_program_do_not_start(workshop: Any) -> None:
    workshop.define("nowhere", "registry.example/none:1")
    shown = workshop.wait(workshop.submit("nowhere", "x"))
    assert shown["statusReason"] == "Task failed to start"
    assert shown["container"]["reason"].startswith(
        "CannotPullContainerError: image registry.example/none:1 is unknown to the Batch emulator"
    )
    assert "exitCode" not in shown["container"]


def test_an_image_that_is_no_list_of_words_does_not_start(tools: Any) -> None:
    """It doesn't end as on a lost host, which would be tried again."""
    wrong: Any = {"number": [1], "empty": []}
    with EmbeddedBatch(runner=SubprocessRunner(wrong)) as emulator:
        workshop = tools.workshop(emulator.url)
        for image in wrong:
            workshop.define(image, image)
            shown = workshop.wait(workshop.submit(image))
            assert shown["statusReason"] == "Task failed to start"
            assert shown["container"]["reason"].startswith("CannotStartContainerError: ")


def test_terminate_sends_sigterm_first(workshop: Any, tools: Any) -> None:
    job = workshop.submit("shell", "trap 'echo bye; exit 9' TERM; echo ready; sleep 300 & wait")
    workshop.wait(job, "RUNNING")
    shown = workshop.job(job)
    tools.eventually(lambda: workshop.lines(shown) == ["ready"])
    workshop.batch.terminate_job(jobId=job, reason="no more")
    shown = workshop.wait(job)
    assert (shown["status"], shown["statusReason"]) == ("FAILED", "no more")
    assert shown["container"]["exitCode"] == 9
    assert workshop.lines(shown) == ["ready", "bye"]


IGNORING = """
import signal, sys, time, boto3
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
from aws_batch_emulator import EmbeddedBatch, SubprocessRunner
with EmbeddedBatch(runner=SubprocessRunner(images={"python": [sys.executable, "-c"]})) as aws:
    batch = boto3.Session("key", "secret", region_name="us-east-1").client(
        "batch", endpoint_url=aws.url
    )
    batch.register_job_definition(
        jobDefinitionName="python",
        type="container",
        containerProperties={
            "image": "python",
            "command": ["import time; time.sleep(300)"],
            "resourceRequirements": [
                {"type": "VCPU", "value": "1"},
                {"type": "MEMORY", "value": "64"},
            ],
        },
    )
    job = batch.submit_job(jobName="x", jobQueue="local", jobDefinition="python")["jobId"]
    def shown():
        return batch.describe_jobs(jobs=[job])["jobs"][0]
    while shown()["status"] != "RUNNING":
        time.sleep(0.02)
    batch.terminate_job(jobId=job, reason="no more")
    while shown()["status"] != "FAILED":
        time.sleep(0.02)
    print(shown()["container"]["exitCode"])
"""


def test_jobs_get_signals_that_the_emulators_process_ignores() -> None:
    """As where it was started by `nohup` or by a shell's `&`."""
    ran = subprocess.run(
        [sys.executable, "-c", IGNORING], capture_output=True, text=True, check=True, timeout=120
    )
    assert ran.stdout.strip() == "143"  # SIGTERM; 137 would be SIGKILL after the grace


def test_a_log_group_of_any_legal_length_works(workshop: Any) -> None:
    """512 characters are legal; a file's name may have 255 bytes."""
    workshop.batch.register_job_definition(
        jobDefinitionName="long",
        type="container",
        containerProperties={
            "image": "shell",
            "command": ["echo here"],
            "resourceRequirements": [
                {"type": "VCPU", "value": "1"},
                {"type": "MEMORY", "value": "64"},
            ],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": "/g/" + "x" * 500},
            },
        },
    )
    job = workshop.batch.submit_job(jobName="j", jobQueue="local", jobDefinition="long")["jobId"]
    assert workshop.wait(job)["status"] == "SUCCEEDED"


def test_what_a_job_started_ends_with_it(workshop: Any, tools: Any) -> None:
    job = workshop.submit("shell", "sleep 300 & echo $!")
    shown = workshop.wait(job)
    assert shown["status"] == "SUCCEEDED"
    orphan = int(workshop.lines(shown)[0])
    tools.eventually(lambda: not tools.lives(orphan))


def test_retries_run_again_with_the_attempt_number(workshop: Any) -> None:
    command = "echo attempt $AWS_BATCH_JOB_ATTEMPT; [ $AWS_BATCH_JOB_ATTEMPT = 3 ]"
    job = workshop.submit("shell", command, retryStrategy={"attempts": 5})
    shown = workshop.wait(job)
    assert shown["status"] == "SUCCEEDED"
    streams = [a["container"]["logStreamName"] for a in shown["attempts"]]
    found = [
        workshop.logs.get_log_events(logGroupName="/aws/batch/job", logStreamName=s)["events"]
        for s in streams
    ]
    assert [e[0]["message"] for e in found] == ["attempt 1", "attempt 2", "attempt 3"]


def test_memory_and_vcpus_limit_what_runs_at_once(workshop: Any, tmp_path: Path) -> None:
    command = f"echo + >> {tmp_path}/log; sleep 0.2; echo - >> {tmp_path}/log"
    resources = [{"type": "MEMORY", "value": "400"}]
    job = workshop.submit(
        "shell",
        command,
        arrayProperties={"size": 6},
        overrides={"resourceRequirements": resources},
    )
    assert workshop.wait(job)["status"] == "SUCCEEDED"
    running = most = 0
    for sign in (tmp_path / "log").read_text().split():
        running += 1 if sign == "+" else -1
        most = max(most, running)
    assert most == 2


def test_a_job_bigger_than_the_machine_stays_runnable_with_a_reason(workshop: Any) -> None:
    resources = [{"type": "MEMORY", "value": "2000"}]
    job = workshop.submit("shell", "true", overrides={"resourceRequirements": resources})
    workshop.wait(job, "RUNNABLE")
    reason = workshop.job(job)["statusReason"]
    assert reason.startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")


def test_a_live_log_grows_and_holds_back_unfinished_lines(
    workshop: Any, tools: Any, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    command = f"echo one; printf tw; while [ ! -e {gate} ]; do sleep 0.05; done; echo o; echo; echo"
    job = workshop.submit("shell", command)
    shown = workshop.wait(job, "RUNNING")
    tools.eventually(lambda: workshop.lines(shown))
    assert workshop.lines(shown) == ["one"]
    gate.touch()
    assert workshop.lines(workshop.wait(job)) == ["one", "two"]


def test_output_that_is_no_text_can_be_read(workshop: Any) -> None:
    job = workshop.submit("python", "import os; os.write(1, b'\\xff\\x00a\\r10%\\r20%\\nlast')")
    lines = workshop.lines(workshop.wait(job))
    assert lines[-1] == "last"
    assert "20%" in "".join(lines)


def test_faults_strike_real_processes(tmp_path: Path, tools: Any) -> None:
    from aws_batch_emulator import (
        EmbeddedBatch,
        SubprocessRunner,
    )

    with EmbeddedBatch(runner=SubprocessRunner(tools.images), vcpus=2) as emulator:
        workshop = tools.workshop(emulator.url)
        workshop.define("shell", "shell")
        emulator.faults.job("spot_reclaim", seconds=0.3)
        job = workshop.submit(
            "shell",
            f"echo $$ >> {tmp_path}/pids; [ $AWS_BATCH_JOB_ATTEMPT = 2 ] || sleep 60",
            retryStrategy={
                "attempts": 2,
                "evaluateOnExit": [{"onStatusReason": "Host EC2*", "action": "RETRY"}],
            },
        )
        shown = workshop.wait(job)
        assert shown["status"] == "SUCCEEDED"
        assert shown["attempts"][0]["statusReason"].startswith("Host EC2 (instance i-")
        first = int((tmp_path / "pids").read_text().split()[0])
        assert not tools.lives(first)


def test_lines_have_the_time_of_their_writing(workshop: Any, tools: Any) -> None:
    # The last process leaves the job's session, so it outlives the job and goes on writing.
    program = (
        "import subprocess, sys, time\n"
        "for _ in range(4):\n"
        "    print(time.time_ns() // 1_000_000, flush=True)\n"
        "    time.sleep(0.4)\n"
        "late = 'import time; time.sleep(1); print(\"late\", flush=True)'\n"
        "subprocess.Popen([sys.executable, '-c', late], start_new_session=True)\n"
    )
    shown = workshop.wait(workshop.submit("python", program))
    tools.eventually(lambda: workshop.lines(shown)[-1] == "late")
    events = workshop.logs.get_log_events(
        logGroupName="/aws/batch/job",
        logStreamName=shown["container"]["logStreamName"],
        startFromHead=True,
    )["events"]
    assert events[-1]["message"] == "late"
    times = [event["timestamp"] for event in events]
    assert times == sorted(times)
    assert times[-1] <= shown["stoppedAt"]
    off = [event["timestamp"] - int(event["message"]) for event in events[:-1]]
    # A coarse file clock may be a few milliseconds behind; a loaded machine measures late.
    assert min(off) >= -50
    assert sorted(off)[1] < 200, off


def test_a_killed_process_ends_its_attempt_and_the_retry_strategy_decides(
    workshop: Any, tools: Any
) -> None:
    rules = [{"onExitCode": "137", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]
    strategy = {"attempts": 3, "evaluateOnExit": rules}
    command = "[ $AWS_BATCH_JOB_ATTEMPT = 2 ] && exit 5; echo $$; sleep 300 & wait"
    job = workshop.submit("shell", command, retryStrategy=strategy)
    workshop.wait(job, "RUNNING")
    lines = tools.eventually(lambda: workshop.lines(workshop.job(job)))
    os.kill(int(lines[0]), signal.SIGKILL)
    shown = workshop.wait(job)
    assert shown["status"] == "FAILED"
    assert [a["container"]["exitCode"] for a in shown["attempts"]] == [137, 5]
    assert shown["attempts"][0]["statusReason"] == "Essential container in task exited"
