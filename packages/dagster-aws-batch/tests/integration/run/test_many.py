"""Different jobs at once in one step: one wait, one poll for all, an interrupt ends them all."""

from types import SimpleNamespace

import dagster as dg
import pytest

from aws_batch_emulator import EmbeddedBatch, SimulatedRun, SubprocessRunner
from dagster_aws_batch import BatchJobDefinition, BatchJobs, Job, JobRun, Retries
from dagster_aws_batch._errors import InvalidJobError, SubmitRejectedError
from dagster_aws_batch._run.run import Request, execute_all

DEFINITION = BatchJobDefinition(image="tool:1", name="tool")


def requests(bench, numbers, *, tasks=10, **fields):
    for number in numbers:
        job = Job(name=f"job-{number}", definition=DEFINITION, retries=Retries(user_code=1))
        yield Request(id=bench.stage(job, tasks), job=job, queue="local", tasks=tasks, **fields)


@pytest.fixture
def worked(bench):
    """Seconds and exit code by the number in the job's name; the tasks done, by job and task."""
    done = {}
    bench.seconds = SimpleNamespace(of=lambda number: 60 * (1 + number))

    def behaviour(job, task):
        number = int(job.name.split("job-")[1].split("-")[0])
        key = (number, task)
        done[key] = done.get(key, 0) + 1
        wrong = number == 3 and task == 2 and done[key] == 1
        return SimulatedRun(seconds=bench.seconds.of(number), exit_code=1 if wrong else 0)

    bench.behaviour = behaviour
    return done


def test_eight_jobs_share_one_wait(bench, worked, record_figure):
    start = bench.clock.now()
    results = execute_all(bench.connection(), list(requests(bench, range(8))))
    seconds = bench.clock.now() - start
    assert [result.name for result in results] == [f"job-{number}" for number in range(8)]
    assert all(task.ok for result in results for task in result.tasks)
    # The longest takes 480 s; one after the other they would take 2,160 s.
    assert seconds < 600
    assert worked.pop((3, 2)) == 2
    assert set(worked.values()) == {1}
    assert results[0].seconds < 120 < results[7].seconds
    calls = bench.aws.calls
    assert calls["SubmitJob"] == 9
    assert calls["DescribeJobs"] < 100
    record_figure(
        "8 jobs of 1 to 8 min at once: seconds, DescribeJobs", round(seconds), calls["DescribeJobs"]
    )


def test_an_interrupt_ends_all_of_them(bench, worked):
    def interrupted(seconds):
        if bench.clock.now() - start > 70:
            raise KeyboardInterrupt

    start = bench.clock.now()
    with pytest.raises(KeyboardInterrupt):
        execute_all(
            bench.connection(), list(requests(bench, range(1, 6), while_waiting=interrupted))
        )
    assert bench.clock.now() - start < 130
    bench.clock.advance(60)
    assert bench.live() == []
    assert len(bench.jobs()) == 5


def test_one_that_is_refused_ends_the_others(bench, worked):
    two = list(requests(bench, range(2)))
    wrong = Job(name="job-9", definition="nobody:1")
    wrong_request = Request(id=bench.stage(wrong, 1), job=wrong, queue="local", tasks=1)
    with pytest.raises(SubmitRejectedError, match="job-9"):
        execute_all(bench.connection(), [*two, wrong_request])
    bench.clock.advance(60)
    assert bench.live() == []


def test_none_calls_nothing(bench):
    assert execute_all(bench.connection(), []) == []
    [result] = execute_all(bench.connection(), list(requests(bench, [1], tasks=0)))
    assert result.tasks == ()
    assert sum(bench.aws.calls.values()) == 0


def test_in_an_asset(tmp_path):
    with EmbeddedBatch(runner=SubprocessRunner({"shell": ["sh", "-c"]})) as aws:
        batch = BatchJobs(
            queue="local", region_name="us-east-1", endpoint_url=aws.url, poll_seconds=0.1
        )

        @dg.asset
        def both(context: dg.AssetExecutionContext, batch: BatchJobs):
            shell = BatchJobDefinition(image="shell")
            runs = [
                JobRun(job=Job(name="left", definition=shell, command=["exit 0"]), tasks=3),
                JobRun(job=Job(name="right", definition=shell, command=["exit 4"])),
                JobRun(job=Job(name="left", definition=shell, command=["exit 0"]), tasks=3),
            ]
            left, right, again = batch.run_many(context=context, runs=runs)
            assert [len(one.succeeded) for one in (left, right, again)] == [3, 0, 3]
            assert right.failed[0].exit_code == 4

        assert dg.materialize([both], resources={"batch": batch}).success
        assert aws.calls["SubmitJob"] == 3


@pytest.mark.parametrize(
    ("follow", "text"),
    [
        (range(11), "job x: follow_logs has 11 tasks; at most 10"),
        ([3, 20, -1], "job x: follow_logs names .*20.*, but its tasks are numbered 0 to 19"),
        (["3"], "job x: follow_logs names '3', but"),
    ],
)
def test_logs_that_cannot_be_followed_are_refused_before_anything_starts(bench, follow, text):
    batch = BatchJobs(queue="local", region_name="us-east-1", endpoint_url=bench.aws.url)
    run = JobRun(job=Job(name="x", definition=DEFINITION), tasks=20, follow_logs=follow)
    with pytest.raises(InvalidJobError, match=text):
        batch.run_many(context=dg.build_op_context(), runs=[run])
    assert bench.aws.calls["SubmitJob"] == 0


def test_following_the_log_of_a_job_of_several_tasks_says_what_to_write(bench, capsys):
    batch = BatchJobs(queue="local", client=bench.client(), clock=bench.clock)
    job = Job(name="x", definition=DEFINITION)
    [outcome] = batch.run_many(
        context=dg.build_op_context(), runs=[JobRun(job=job, tasks=2, follow_logs=True)]
    )
    assert not outcome.failed
    assert (
        "follow_logs=True is for a job of one task, and this one has 2" in capsys.readouterr().err
    )
