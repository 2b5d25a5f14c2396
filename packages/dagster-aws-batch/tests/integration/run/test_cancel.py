"""Behaviour 6: whatever ends the wait ends the jobs."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from aws_batch_emulator import SimulatedRun
from dagster_aws_batch._job import BatchJobDefinition, Job, Retries
from dagster_aws_batch._run.state import Options
from dagster_aws_batch._run.unresolved import note_unresolved

EXPIRED = ClientError(
    {
        "Error": {"Code": "ExpiredTokenException", "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": 403},
    },
    "ListJobs",
)


class Interrupt(BaseException):
    """As Dagster's: no Exception."""


class InterruptingClock:
    """Raises in a sleep, as a signal handler in the main thread would; at each of the given
    times once.
    """

    def __init__(self, clock, *moments, error=Interrupt):
        self.clock, self.error = clock, error
        self.moments = [clock.now() + moment for moment in moments]
        self.raised_at = None

    def now(self):
        return self.clock.now()

    def sleep(self, seconds):
        if self.moments and self.now() + seconds >= self.moments[0]:
            self.clock.advance(max(0, self.moments.pop(0) - self.now()))
            self.raised_at = self.now()
            raise self.error("stop")
        self.clock.sleep(seconds)


def interrupted(bench, tasks, *moments, error=Interrupt, **options):
    bench.behaviour = lambda job, task: SimulatedRun(seconds=3600)
    clock, bench.clock = bench.clock, InterruptingClock(bench.clock, *moments, error=error)
    try:
        with pytest.raises(error):
            bench.run(tasks, **options)
        return clock.now() - bench.clock.raised_at
    finally:
        bench.clock = clock


@pytest.mark.parametrize(
    ("error", "tasks"),
    [
        (Interrupt, 1),
        (Interrupt, 200),
        (KeyboardInterrupt, 200),
        (RuntimeError, 200),
        (GeneratorExit, 200),
    ],
)
def test_any_exception_ends_all_jobs(bench, error, tasks):
    interrupted(bench, tasks, 100, error=error)
    submits = bench.aws.calls["SubmitJob"]
    bench.clock.advance(60)
    assert bench.live() == []
    assert submits == 1
    assert bench.aws.calls["TerminateJobs"] + bench.aws.calls["TerminateJob"] == 1


@pytest.mark.parametrize("rate", [0.5, 0.8])
@pytest.mark.parametrize("bench", [500], indirect=True)
def test_ten_arrays_of_ten_thousand_end_within_30_s_even_when_throttled(bench, rate, record_figure):
    bench.aws.faults.throttle("Terminate*", rate=rate)
    bench.aws.faults.throttle("ListJobs", rate=rate)
    seconds = interrupted(bench, 100_000, 60)
    assert bench.aws.calls["SubmitJob"] == 10
    record_figure(
        f"6 seconds to cancel 10 arrays of 10,000 with {rate:.0%} of calls throttled",
        round(seconds, 1),
        f"{bench.aws.calls['TerminateJobs']} TerminateJobs",
    )
    assert seconds <= 30
    bench.aws.faults.clear()
    bench.clock.advance(60)
    assert bench.live() == []


@pytest.mark.parametrize("bench", [500], indirect=True)
def test_where_bulk_terminate_is_missing_jobs_are_ended_one_by_one(bench):
    bench.aws.faults.error("TerminateJobs", after=False, status=404)
    interrupted(bench, 20_002, 60)
    bench.clock.advance(60)
    assert bench.live() == []
    assert bench.aws.calls["TerminateJob"] == 3


def test_a_job_whose_answer_never_came_is_swept_by_name(bench):
    """The interrupt comes inside SubmitJob, after AWS created the job, and the listing is
    late.
    """
    bench.aws.faults.late_listing(8)
    connection = bench.connection()
    once = connection.api.once

    def dies(operation, **request):
        answer = once(operation, **request)
        if operation == "SubmitJob":
            raise Interrupt
        return answer

    connection.api.once = dies
    bench.behaviour = lambda job, task: SimulatedRun(seconds=3600)
    with pytest.raises(Interrupt):
        bench.run(50, connection=connection)
    bench.clock.advance(60)
    assert bench.live() == []
    assert len(bench.jobs()) == 1


def test_a_second_interrupt_does_not_stop_the_cleaning(bench):
    bench.aws.faults.throttle("TerminateJobs", times=4)
    interrupted(bench, 100, 100, 100.05)
    bench.clock.advance(60)
    assert bench.live() == []


@pytest.mark.parametrize("bench", [500], indirect=True)
def test_nothing_is_submitted_after_the_interrupt(bench):
    """Even in the middle of a stage of many arrays."""
    bench.aws.faults.throttle("SubmitJob", rate=0.9)
    interrupted(bench, 50_005, 3)
    submits = bench.aws.calls["SubmitJob"]
    bench.clock.advance(120)
    assert bench.aws.calls["SubmitJob"] == submits
    assert bench.live() == []


def test_jobs_go_on_if_the_user_wants_it(bench):
    interrupted(bench, 2, 100, options=Options(forward_termination=False))
    assert len(bench.live()) == 1


def test_an_error_of_the_receipt_reader_ends_the_other_jobs(bench):
    def broken(tasks):
        raise OSError("no such bucket")

    bench.read_receipts = broken
    with pytest.raises(OSError, match="no such bucket"):
        bench.run(5, Job(name="x", definition=BatchJobDefinition(image="t:1")), with_receipts=True)
    bench.clock.advance(60)
    assert bench.live() == []


@pytest.mark.parametrize("lateness", [8, 20, 60, 120, 300])
@pytest.mark.parametrize("moment", [0.01, 3, 10])
def test_a_lost_answer_and_a_late_listing_leave_no_orphan(bench, scratch, lateness, moment):
    """What no listing shows yet is noted in the scratch place; the next execution ends it."""
    bench.aws.faults.late_listing(lateness)
    bench.aws.faults.error("SubmitJob", after=True, times=1)
    interrupted(bench, 200, moment, scratch=scratch)
    bench.clock.advance(lateness)
    bench.behaviour = lambda job, task: SimulatedRun(seconds=1)
    other = Job(name="other", definition=BatchJobDefinition(image="t:1"))
    assert bench.run(1, other, scratch=scratch, run_id="run-2").tasks[0].ok
    assert bench.live() == []
    assert set(bench.work) <= {0}


def test_a_retry_goes_on_with_a_job_that_appeared_late(bench, scratch):
    bench.aws.faults.late_listing(60)
    bench.aws.faults.error("SubmitJob", after=True, times=1)
    interrupted(bench, 20, 3, scratch=scratch)
    bench.clock.advance(60)
    result = bench.run(20, scratch=scratch, resumed=True, with_receipts=True)
    assert all(task.ok for task in result.tasks)
    assert bench.work == dict.fromkeys(range(20), 1)


@pytest.mark.parametrize("rate", [0.9, 0.95, 1.0])
def test_a_cancel_ends_within_its_time_whatever_fails(bench, rate, caplog):
    bench.aws.faults.throttle("Terminate*", rate=rate)
    bench.aws.faults.throttle("ListJobs", rate=rate)
    seconds = interrupted(bench, 100, 60)
    assert seconds <= 31
    bench.aws.faults.clear()
    bench.clock.advance(60)
    if bench.live():
        command = "kill --name-prefix dagster --queue local --run-id run-1 --region us-east-1"
        assert command in caplog.text and "--endpoint-url http://" in caplog.text
        assert len(caplog.records) < 15


@pytest.mark.parametrize("error", [NoCredentialsError(), EXPIRED])
def test_a_cancel_without_credentials_pauses_and_says_how_to_end_the_jobs(bench, caplog, error):
    bench.behaviour = lambda job, task: SimulatedRun(seconds=3600)
    connection = bench.connection(profile="mine")
    once = connection.api.once

    def interrupt(seconds):
        def fails(operation, **request):
            raise error

        connection.api.once = fails
        raise Interrupt

    bench.add_queue("spare")
    retries = Retries(fallback_queue="spare")
    job = Job(name="count", definition=BatchJobDefinition(image="tool:1"), retries=retries)
    with pytest.raises(Interrupt):
        bench.run(100, job, connection=connection, while_waiting=interrupt)
    connection.api.once = once
    assert len(caplog.records) < 15
    assert "--queue local --queue spare --run-id run-1 --region us-east-1" in caplog.text
    assert "--profile mine" in caplog.text
    assert bench.live()


def test_aws_is_not_told_the_text_of_an_exception(bench):
    def leaks(seconds):
        raise RuntimeError("postgresql://admin:hunter2@db")

    bench.behaviour = lambda job, task: SimulatedRun(seconds=3600)
    with pytest.raises(RuntimeError):
        bench.run(1, while_waiting=leaks)
    bench.clock.advance(60)
    [job] = bench.jobs()
    [detail] = bench.client().describe_jobs(jobs=[job["jobId"]])["jobs"]
    assert detail["statusReason"] == "orchestrator stopped waiting: RuntimeError"


def test_a_note_of_a_queue_that_is_gone_hinders_nobody(bench, scratch):
    note_unresolved(scratch, "dagster-0-old", "gone")
    assert bench.run(1, scratch=scratch).tasks[0].ok
    assert scratch.names("unresolved/")
