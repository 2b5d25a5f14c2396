"""Rate budget, backoff, retries by cause, rows of AWS, links and jobs' own checks."""

from __future__ import annotations

import random

import pytest

from dagster_aws_batch._aws.answers import from_detail, from_summary, resources_of, to_result
from dagster_aws_batch._aws.connect import is_aws
from dagster_aws_batch._aws.console import Console
from dagster_aws_batch._aws.fargate import fargate_memory, fargate_problem
from dagster_aws_batch._aws.rates import SUBMITTING, Backoff, RateBudget
from dagster_aws_batch._errors import InvalidJobError, ScratchError
from dagster_aws_batch._job import Job, Retries
from dagster_aws_batch._results import FailureClass, TaskState
from dagster_aws_batch._run.retry import RetryBudget, RetryPlan
from dagster_aws_batch._run.watch import poll_interval
from dagster_aws_batch._scratch import open_scratch

CONSOLE = Console("us-east-1")


class Clock:
    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += max(0.0, seconds)


def test_a_budget_spaces_calls_and_lets_a_few_go_at_once():
    clock = Clock()
    budget = RateBudget(clock, rate=10, burst=3)
    times = []
    for _ in range(6):
        budget.take()
        times.append(round(clock.now(), 3))
    assert times == [0, 0, 0, 0.1, 0.2, 0.3]
    clock.sleep(100)
    budget.take()
    assert clock.now() == pytest.approx(100.3)


def test_a_backoff_gives_up_after_tries_and_seconds_both():
    for seed in range(50):
        clock = Clock()
        backoff = Backoff(clock, random.Random(seed), SUBMITTING)
        while not backoff.give_up():
            backoff.wait()
        assert backoff.count >= 10
        assert clock.now() >= 120


def test_waits_grow_with_the_age_of_the_stage():
    seconds = [poll_interval(age, shortest=5, longest=30) for age in (0, 10, 60, 90, 3000, 4000)]
    assert seconds == [5, 5, 20, 30, 30, 60]


def test_each_cause_has_its_own_count():
    book = RetryBudget(Retries(user_code=1, host_loss=2, out_of_memory=1), 1000)

    def again(failure):
        return book.plan(0, failure, memory_mib=None, queue="q")

    assert again(FailureClass.SPOT_EC2) == again(FailureClass.AGENT) == RetryPlan(None, "q")
    assert again(FailureClass.SPOT_EC2) is None
    assert again(FailureClass.USER_CODE) == RetryPlan(None, "q")
    assert again(FailureClass.USER_CODE) is None
    assert again(FailureClass.OUT_OF_MEMORY) == RetryPlan(2000, "q")
    assert again(FailureClass.OUT_OF_MEMORY) is None
    never = set(FailureClass) - {
        FailureClass.SPOT_EC2,
        FailureClass.SPOT_FARGATE,
        FailureClass.AGENT,
        FailureClass.IMAGE_PULL,
        FailureClass.USER_CODE,
        FailureClass.OUT_OF_MEMORY,
        FailureClass.LOST,
    }
    fresh = RetryBudget(Retries(user_code=9, host_loss=9, out_of_memory=9), 1000)
    for failure in never:
        assert fresh.plan(1, failure, memory_mib=1000, queue="q") is None


def test_memory_grows_up_to_its_ceiling_and_then_not_at_all():
    book = RetryBudget(Retries(out_of_memory=9, memory_factor=1.5), 1000)
    memory = 1000
    grown = []
    while (again := book.plan(0, FailureClass.OUT_OF_MEMORY, memory_mib=memory, queue=None)) and (
        again.memory_mib
    ):
        memory = again.memory_mib
        grown.append(memory)
    assert grown == [1500, 2250, 3375, 4000]


def test_several_containers_are_read_with_all_attempts_and_logs():
    job = {
        "jobId": "j",
        "status": "FAILED",
        "statusReason": "Essential container in task exited",
        "createdAt": 1_000,
        "startedAt": 3_000,
        "stoppedAt": 8_000,
        "container": {},
        "ecsProperties": {
            "taskProperties": [
                {
                    "containers": [
                        {
                            "name": "main",
                            "essential": True,
                            "exitCode": 5,
                            "resourceRequirements": [
                                {"type": "VCPU", "value": "0.5"},
                                {"type": "MEMORY", "value": "100"},
                            ],
                            "logConfiguration": {"options": {"awslogs-group": "/own"}},
                        },
                        {
                            "name": "side",
                            "essential": False,
                            "resourceRequirements": [{"type": "MEMORY", "value": "28"}],
                        },
                    ]
                }
            ]
        },
        "attempts": [
            {
                "startedAt": 1,
                "stoppedAt": 2,
                "statusReason": "Host EC2 (instance i-1) terminated.",
                "taskProperties": [
                    {
                        "containers": [
                            {"name": "main", "logStreamName": "a/main"},
                            {"name": "side", "logStreamName": "a/side", "exitCode": 0},
                        ]
                    }
                ],
            },
            {
                "taskProperties": [
                    {"containers": [{"name": "main", "exitCode": 5, "logStreamName": "b/main"}]}
                ]
            },
        ],
    }
    row = from_detail(job)
    assert (row.queue_seconds, row.run_seconds) == (2, 5)
    assert row.evidence.exit_code == 5
    assert [ref.stream for attempt in row.attempts for ref in attempt.logs] == [
        "a/main",
        "a/side",
        "b/main",
    ]
    assert [ref.group for ref in row.attempts[0].logs] == ["/own", "/aws/batch/job"]
    assert resources_of(job) == (0.5, 128, 0)
    result = to_result(3, row, console=CONSOLE)
    assert (result.state, result.failure) == (TaskState.FAILED, FailureClass.USER_CODE)
    assert result.log_url is not None and "$252Fown" in result.log_url


@pytest.mark.parametrize(
    ("exit_code", "ok"), [(0, True), (1, False), (None, False)], ids=["0", "1", "none"]
)
def test_a_row_that_says_succeeded_needs_exit_code_0(exit_code, ok):
    container = {} if exit_code is None else {"exitCode": exit_code}
    row = from_summary({"jobId": "j:0", "status": "SUCCEEDED", "container": container})
    assert to_result(0, row, console=CONSOLE).ok is ok


def test_links_as_the_console_wants_them():
    assert CONSOLE.job("abc:7") == (
        "https://us-east-1.console.aws.amazon.com/batch/home?region=us-east-1#jobs/detail/abc:7"
    )
    assert CONSOLE.log("/aws/batch/job", "tool/default/1") == (
        "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
        "#logsV2:log-groups/log-group/$252Faws$252Fbatch$252Fjob/log-events/tool$252Fdefault$252F1"
    )
    assert "amazonaws.cn" in str(Console("cn-north-1").job("x"))
    assert "amazonaws-us-gov" in str(Console("us-gov-west-1").job("x"))
    assert "eusc-de-east-1.console.amazonaws-eusc.eu" in str(Console("eusc-de-east-1").job("x"))
    assert Console("us-iso-east-1").job("x") is None
    assert Console("us-east-1", aws=False).job("x") is None
    assert Console("r", base="http://h/ui").job("a:1") == "http://h/ui/jobs/a%3A1"


def test_endpoints_of_aws_are_known():
    assert is_aws("https://batch.us-east-1.amazonaws.com")
    assert is_aws("https://vpce-1.batch.us-east-1.vpce.amazonaws.com")
    assert is_aws("https://batch.eusc-de-east-1.amazonaws.eu")
    assert is_aws("https://batch.cn-north-1.amazonaws.com.cn")
    assert is_aws("https://batch.us-iso-east-1.c2s.ic.gov")
    assert not is_aws("http://127.0.0.1:5000")
    assert not is_aws("http://amazonaws.com.evil.example")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"timeout_seconds": 59}, "60 or more"),
        ({"command": "one string"}, "list of strings"),
        ({"command": ["a", ""]}, "empty word"),
        ({"scheduling_priority": 10_000}, "0 to 9999"),
        ({"environment": {"AWS_BATCH_X": "1"}}, "AWS_BATCH_X"),
        ({"environment": {"BATCH_TASKS": "1"}}, "BATCH_TASKS"),
        ({"name": ""}, "needs a name"),
    ],
)
def test_a_job_that_aws_would_refuse_is_refused_at_once(fields, words):
    with pytest.raises(InvalidJobError, match=words):
        Job(**{"name": "j", "definition": "d", **fields})


def test_retries_are_checked():
    for wrong in ({"user_code": 10}, {"host_loss": -1}, {"memory_factor": 1.0}):
        with pytest.raises(InvalidJobError):
            Retries(**wrong)


def test_scratch_folders_keep_names_and_list_them(tmp_path):
    scratch = open_scratch((tmp_path / "a b").as_uri())
    uri = scratch.put("run/x ü", b"1")
    assert uri == (tmp_path / "a b" / "run" / "x ü").as_uri()
    scratch.put("run/y", b"2")
    scratch.put("other/z", b"3")
    assert scratch.names("run/") == ["run/x ü", "run/y"]
    assert scratch.names("ru") == ["run/x ü", "run/y"]
    assert scratch.names("nothing") == []
    assert (scratch.get("run/y"), scratch.get("no")) == (b"2", None)
    scratch.delete("run/y")
    scratch.delete("run/y")
    assert scratch.get("run/y") is None
    with pytest.raises(ScratchError, match="use s3://"):
        open_scratch("http://x/y")
    (tmp_path / "file").write_text("")
    with pytest.raises(ScratchError, match="can't write"):
        open_scratch(str(tmp_path / "file")).put("x/y", b"")


@pytest.mark.parametrize(
    ("vcpus", "memory", "offered"),
    [(1, 2662, 3072), (1, 16_384, None), (0.25, 1500, 2048), (8, 17_000, 20_480), (3, 5, 5)],
)
def test_memory_grows_in_fargate_s_steps(vcpus, memory, offered):
    assert fargate_memory(vcpus, memory) == offered
    if offered and vcpus != 3:
        assert fargate_problem(vcpus, offered) is None
        assert fargate_problem(vcpus, offered + 1)


def test_a_retry_never_asks_for_a_size_that_fargate_lacks():
    budget = RetryBudget(
        Retries(out_of_memory=9, memory_factor=1.3),
        2048,
        sizes=lambda memory: fargate_memory(1, memory),
    )
    memory, grown = 2048, []
    while plan := budget.plan(0, FailureClass.OUT_OF_MEMORY, memory_mib=memory, queue=None):
        memory = plan.memory_mib
        grown.append(memory)
    assert grown == [3072, 4096, 6144, 8192]
