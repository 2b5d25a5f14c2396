"""Jobs defined with ecsProperties: one or several containers."""

from __future__ import annotations

from typing import Any

import pytest

from aws_batch_emulator import SimulatedRun


def container(name: str, **changes: Any) -> dict[str, Any]:
    resources = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}]
    return {"name": name, "image": f"{name}:1", "resourceRequirements": resources, **changes}


def define(bench: Any, *containers: dict[str, Any]) -> None:
    bench.batch.register_job_definition(
        jobDefinitionName="several",
        type="container",
        ecsProperties={"taskProperties": [{"containers": list(containers)}]},
    )


def shown(bench: Any, job: str) -> list[dict[str, Any]]:
    task = bench.job(job)["ecsProperties"]["taskProperties"][0]
    return list(task["containers"])


def test_containers_have_their_own_results_and_streams(bench: Any) -> None:
    define(bench, container("main"), container("side", essential=False))
    bench.behaviour = lambda job: SimulatedRun(
        seconds=10 if job.container == "main" else 1_000, log=[f"hello from {job.container}"]
    )
    job = bench.submit(jobDefinition="several")
    bench.clock.advance(1)
    assert bench.status(job) == "RUNNING"
    bench.clock.advance(10)
    found = bench.job(job)
    assert found["status"] == "SUCCEEDED"
    assert found["container"] == {}
    assert [c["exitCode"] for c in shown(bench, job)] == [0, 143]
    attempt = found["attempts"][0]["taskProperties"][0]["containers"]
    assert [c["name"] for c in attempt] == ["main", "side"]
    streams = [c["logStreamName"] for c in attempt]
    assert streams[1].startswith("several/side/")
    events = bench.logs.get_log_events(logGroupName="/aws/batch/job", logStreamName=streams[1])
    assert [e["message"] for e in events["events"]] == ["hello from side"]


def test_an_essential_container_that_fails_fails_the_job(bench: Any) -> None:
    define(bench, container("one"), container("two"))
    bench.behaviour = lambda job: SimulatedRun(
        seconds=5 if job.container == "two" else 1_000, exit_code=3
    )
    job = bench.submit(jobDefinition="several", size=2)
    bench.clock.advance(6)
    assert bench.counts(job) == {"FAILED": 2}
    assert [c["exitCode"] for c in shown(bench, f"{job}:0")] == [143, 3]


def test_containers_wait_for_each_other(bench: Any) -> None:
    after = [{"containerName": "first", "condition": "SUCCESS"}]
    define(
        bench,
        container("first", essential=False),
        container("second", dependsOn=after),
    )
    bench.behaviour = lambda job: SimulatedRun(seconds=10)
    job = bench.submit(jobDefinition="several")
    bench.clock.advance(5)
    assert [s.container for s in bench.seen] == ["first"]
    bench.clock.advance(20)
    assert bench.status(job) == "SUCCEEDED"
    bench.behaviour = lambda job: SimulatedRun(exit_code=1)
    failing = bench.submit(jobDefinition="several")
    bench.clock.advance(5)
    assert bench.status(failing) == "FAILED"
    assert "exitCode" not in shown(bench, failing)[1]


def test_overrides_name_their_container(bench: Any) -> None:
    define(bench, container("main", command=["run", "Ref::what"]), container("side"))
    override = {"name": "main", "environment": [{"name": "A", "value": "1"}]}
    bench.submit(
        jobDefinition="several",
        parameters={"what": "it"},
        ecsPropertiesOverride={"taskProperties": [{"containers": [override]}]},
    )
    bench.clock.advance(1)
    main, side = bench.seen
    assert (list(main.command), main.environment["A"]) == (["run", "it"], "1")
    assert "A" not in side.environment
    wrong = {"taskProperties": [{"containers": [{**override, "name": "nobody"}]}]}
    text = bench.refused(bench.submit, jobDefinition="several", ecsPropertiesOverride=wrong)[1]
    assert "no container nobody" in text
    text = bench.refused(
        bench.submit, jobDefinition="several", containerOverrides={"command": ["x"]}
    )[1]
    assert "containerOverrides is not applicable" in text


def test_terminate_and_faults_reach_all_containers(bench: Any) -> None:
    define(bench, container("one"), container("two"))
    bench.behaviour = lambda job: SimulatedRun(seconds=1_000)
    ended = bench.submit(jobDefinition="several")
    bench.clock.advance(1)
    bench.batch.terminate_job(jobId=ended, reason="over")
    bench.clock.advance(1)
    assert bench.job(ended)["statusReason"] == "over"
    bench.emulator.faults.job("out_of_memory", seconds=1)
    job = bench.submit(jobDefinition="several")
    bench.clock.advance(2)
    assert bench.status(job) == "FAILED"
    first = shown(bench, job)[0]
    assert first["reason"].startswith("OutOfMemoryError")
    assert first["exitCode"] == 137


@pytest.mark.parametrize(
    ("containers", "message"),
    [
        ([], "1 to 10 containers"),
        ([container(f"c{i}") for i in range(11)], "1 to 10 containers"),
        ([container("a"), container("a")], "unique"),
        ([container("a", essential=False)], "must be essential"),
        ([container("a", image="")], "image is required"),
        ([container("a", dependsOn=[{"containerName": "b", "condition": "START"}])], "depend on"),
    ],
)
def test_senseless_definitions_are_refused(
    bench: Any, containers: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(bench.batch.exceptions.ClientException, match=message):
        define(bench, *containers)
