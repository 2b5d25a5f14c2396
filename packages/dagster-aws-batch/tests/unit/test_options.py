"""Options that can't work are refused where they are given; extra fields add and never replace."""

from __future__ import annotations

import boto3
import pytest
from pydantic import ValidationError

from dagster_aws_batch import (
    BatchJobDefinition,
    BatchJobs,
    Connection,
    InvalidJobError,
    Job,
    PipesBatchClient,
    Retries,
    ScratchError,
    client_config,
)
from dagster_aws_batch._aws.job_definitions import registration
from dagster_aws_batch._aws.requests import shape_of, submit_request
from dagster_aws_batch._scratch import open_scratch

NAMED = "tool:3"


def request(job, **fields):
    return submit_request(
        job,
        name="n",
        token="t",
        queue="q",
        definition="d:1",
        tasks=fields.pop("tasks", [0, 1]),
        total=2,
        tags={"team": "a"},
        memory_mib=job.memory_mib,
        scratch=None,
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"poll_seconds": -5.0}, "poll_seconds is -5"),
        ({"poll_seconds": 0.0}, "poll_seconds is 0"),
        ({"poll_max_seconds": -1.0}, "poll_max_seconds"),
        ({"blocked_after_seconds": 0.0}, "blocked_after_seconds"),
        ({"price_gib_hour": -0.1}, "price_gib_hour is -0.1; use 0 or more"),
        ({"price_gpu_hour": float("nan")}, "price_gpu_hour is nan"),
        ({"poll_max_seconds": float("nan")}, "poll_max_seconds is nan"),
        ({"poll_seconds": float("inf")}, "poll_seconds is inf"),
        ({"rates": {"ListJobs": float("nan")}}, "above 0"),
        ({"rates": {"Definitions": 1.0}}, "rates has 'Definitions'"),
        ({"name_prefix": ""}, "name_prefix is empty"),
        ({"tags": {"dagster/run-id": "x"}}, "tag dagster/run-id is set by this client"),
        ({"rates": {"SubmitJobs": 1.0}}, "SubmitJobs.*known are .*SubmitJob"),
        ({"rates": {"SubmitJob": 0.0}}, "above 0"),
        ({"rates": {"ListJobs": -1.0}}, "above 0"),
        ({"queue": ""}, "queue is empty"),
        ({"endpoint_url": "127.0.0.1:8642"}, "endpoint_url.*begin it with http"),
    ],
)
def test_a_resource_that_cannot_work_is_refused(fields, words):
    with pytest.raises(InvalidJobError, match=words):
        BatchJobs(**{"queue": "q", **fields})


@pytest.mark.parametrize("unknown", ["region", "profile", "pol_seconds"])
def test_a_field_that_a_resource_does_not_have_is_refused(unknown):
    with pytest.raises(ValidationError, match=unknown):
        BatchJobs(queue="q", **{unknown: "x"})
    with pytest.raises(ValidationError, match=unknown):
        PipesBatchClient(batch=BatchJobs(queue="q"), **{unknown: "x"})
    with pytest.raises(ValidationError, match="poll_messages_seconds"):
        PipesBatchClient(batch=BatchJobs(queue="q"), poll_messages_seconds=0)


def own_client(**further):
    config = client_config() if not further else None
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    return boto3.client("batch", region_name="eu-west-1", config=config, **keys)


def test_fields_that_a_client_of_one_s_own_makes_useless_are_refused():
    fields = {"region_name": "eu-west-1", "role_arn": "arn:aws:iam::1:role/r"}
    with pytest.raises(InvalidJobError, match="has a client and region_name, role_arn"):
        BatchJobs(queue="q", client=own_client(), **fields).connection()
    with pytest.raises(InvalidJobError, match="give its client, too"):
        BatchJobs(queue="q", logs_client=own_client(), region_name="eu-west-1").connection()


def test_a_client_that_repeats_requests_by_itself_is_refused_wherever_it_is_given():
    for make in (Connection.over, lambda one: BatchJobs(queue="q", client=one).connection()):
        with pytest.raises(InvalidJobError, match="a job could be submitted twice"):
            make(own_client(repeats=True))


def test_two_resources_share_a_client_but_not_their_own_fields():
    client = own_client()
    first, second = (
        BatchJobs(queue="q", client=client, console_url=url).connection()
        for url in ("http://one", "http://two")
    )
    assert (first.console.base, second.console.base) == ("http://one", "http://two")
    again = BatchJobs(queue="q", client=client, console_url="http://one").connection()
    assert again is first


def test_keys_that_are_given_reach_an_endpoint_on_this_machine():
    given = {"aws_access_key_id": "mine", "aws_secret_access_key": "s"}
    url, region = "http://127.0.0.1:9", "eu-west-1"
    for fields, expected in ((given, "mine"), ({}, "local")):
        batch = BatchJobs(queue="q", endpoint_url=url, region_name=region, **fields)
        signer = batch.connection().api.client._request_signer
        assert signer._credentials.access_key == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"jobName": "mine"}, "jobName"),
        ({"arrayProperties": {"size": 3}}, "arrayProperties"),
        ({"tags": {"team": "b"}}, "tags"),
        ({"propagateTags": False}, "propagateTags"),
        ({"retryStrategy": {"attempts": 1}}, "attempts"),
        (
            {"containerOverrides": {"environment": [{"name": "BATCH_TASKS", "value": "9"}]}},
            "BATCH_",
        ),
        ({"containerOverrides": {"command": "x"}}, "command"),
        ({"eksPropertiesOverride": {}}, "eksPropertiesOverride"),
        ({"ecsPropertiesOverride": {}}, "ecsPropertiesOverride"),
        ({"nodeOverrides": {}}, "several nodes"),
    ],
)
def test_options_do_not_replace_what_the_client_sets(options, words):
    definition = BatchJobDefinition(image="tool:1")
    job = Job(name="j", definition=definition, command=["a"], options=options)
    with pytest.raises(InvalidJobError, match=words):
        request(job)


def test_a_definition_of_several_nodes_is_refused_with_the_reason():
    """The emulator has none; so the description is in AWS's form (nodeProperties)."""
    job = Job(name="j", definition=NAMED)
    with pytest.raises(InvalidJobError, match=r"several nodes .* no arrays of them"):
        shape_of(job, {"type": "multinode", "nodeProperties": {"numNodes": 2, "mainNode": 0}})


def test_options_add_to_what_the_client_sets():
    job = Job(
        name="j",
        definition=NAMED,
        options={
            "dependsOn": [{"jobId": "x"}],
            "tags": {"cost": "c"},
            "containerOverrides": {
                "instanceType": "m5.large",
                "environment": [{"name": "MINE", "value": "1"}],
            },
        },
    )
    made = request(job)
    assert made["dependsOn"] == [{"jobId": "x"}]
    assert made["tags"] == {"team": "a", "cost": "c"}
    assert made["containerOverrides"]["instanceType"] == "m5.large"
    names = [one["name"] for one in made["containerOverrides"]["environment"]]
    assert names == ["BATCH_TASKS", "BATCH_TASK_TOTAL", "BATCH_SUBMISSION", "MINE"]


def test_gpus_and_consumable_resources_reach_aws():
    licences = {"consumableResourceList": [{"consumableResource": "licence", "quantity": 1}]}
    options = {"consumableResourcePropertiesOverride": licences}
    made = request(Job(name="j", definition=NAMED, gpus=2, options=options))
    assert made["containerOverrides"]["resourceRequirements"] == [{"type": "GPU", "value": "2"}]
    assert made["consumableResourcePropertiesOverride"] == licences
    registered = registration(BatchJobDefinition(image="a", gpus=1))
    wanted = registered["containerProperties"]["resourceRequirements"]
    assert {"type": "GPU", "value": "1"} in wanted


def test_a_definition_s_further_properties_add_as_well():
    with pytest.raises(InvalidJobError, match="image"):
        registration(BatchJobDefinition(image="a", container_properties={"image": "b"}))
    with pytest.raises(InvalidJobError, match="MEMORY"):
        wanted = {"resourceRequirements": [{"type": "MEMORY", "value": "1"}]}
        registration(BatchJobDefinition(image="a", container_properties=wanted))
    user = registration(BatchJobDefinition(image="a", container_properties={"user": "nobody"}))
    assert user["containerProperties"]["user"] == "nobody"


def test_a_named_definition_keeps_its_own_timeout_and_retries():
    made = request(Job(name="j", definition=NAMED))
    assert "timeout" not in made and "retryStrategy" not in made
    ours = request(Job(name="j", definition=BatchJobDefinition(image="t")))
    assert ours["timeout"] == {"attemptDurationSeconds": 86_400}
    assert ours["retryStrategy"]["attempts"] == 4
    said = request(Job(name="j", definition=NAMED, timeout_seconds=60))
    assert said["timeout"] == {"attemptDurationSeconds": 60}
    never = request(Job(name="j", definition=BatchJobDefinition(image="t"), timeout_seconds=None))
    assert "timeout" not in never


@pytest.mark.parametrize("value", [1, b"x", {"password": "hunter2"}])
def test_a_value_of_the_wrong_type_is_named_without_its_content(value):
    with pytest.raises(InvalidJobError, match="variable TOKEN") as caught:
        Job(name="j", definition=NAMED, environment={"TOKEN": value})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InvalidJobError, match="word of type"):
        Job(name="j", definition=NAMED, command=["a", 1])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", None),
        ("definition", None),
        ("definition", 7),
        ("command", "echo"),
        ("environment", [("A", "b")]),
        ("vcpus", "2"),
        ("vcpus", 0),
        ("vcpus", float("nan")),
        ("vcpus", float("inf")),
        ("vcpus", True),
        ("gpus", True),
        ("memory_mib", "2GB"),
        ("memory_mib", 0.5),
        ("memory_mib", 0),
        ("gpus", -1),
        ("timeout_seconds", "60"),
        ("timeout_seconds", 90.5),
        ("retries", 3),
        ("inputs", "abc"),
        ("queue", 1),
        ("options", ["dependsOn"]),
    ],
)
def test_a_field_that_cannot_be_is_named_with_its_job(field, value):
    with pytest.raises(InvalidJobError, match=rf"job .*: {field} is ") as caught:
        Job(**{"name": "j", "definition": NAMED, field: value})
    assert caught.value.job == ("j" if field != "name" else None)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"image": ""}, "it needs an image"),
        ({"image": None}, "image is of type NoneType"),
        ({"platform": "fargate"}, "use EC2, FARGATE, EKS"),
        ({"memory_mib": "2GB"}, "memory_mib is of type str"),
        ({"vcpus": -1}, "vcpus is -1"),
        ({"memory_mib": 2048.0}, "memory_mib is of type float"),
        ({"gpus": True}, "gpus is of type bool"),
        ({"assign_public_ip": "no"}, "assign_public_ip is of type str; use True or False"),
        ({"environment": {1: "a"}}, "the name of variable 1 is of type int"),
        ({"environment": {"A": 1}}, "variable A is of type int"),
        ({"command": ["a", ""]}, "an empty word"),
    ],
)
def test_a_definition_that_cannot_be_is_refused_where_it_is_written(fields, named):
    with pytest.raises(InvalidJobError, match=named):
        BatchJobDefinition(**{"image": "a:1", **fields})


def test_retries_and_tags_are_checked_as_well():
    with pytest.raises(InvalidJobError, match="retries: host_loss is of type str"):
        Retries(host_loss="3")
    with pytest.raises(InvalidJobError, match="tag cost is of type int"):
        Job(name="j", definition=NAMED, tags={"cost": 3})
    for tag in ("dagster/origin-run-id", "dagster/keep-running"):
        with pytest.raises(InvalidJobError, match=f"tag {tag} is set by this client"):
            Job(name="j", definition=NAMED, tags={tag: "true"})
    with pytest.raises(InvalidJobError, match="memory_ceiling_mib is 0; use 4 or more"):
        Retries(memory_ceiling_mib=0)
    with pytest.raises(InvalidJobError, match="is 512, but the tasks begin with 2048 MiB"):
        ours = BatchJobDefinition(image="a:1")
        Job(name="j", definition=ours, retries=Retries(memory_ceiling_mib=512))
    with pytest.raises(InvalidJobError, match="input 1 is of type int"):
        Job(name="j", definition=NAMED, inputs=["a", 1])


def test_an_env_var_of_dagster_is_not_taken_for_its_name():
    import dagster as dg

    with pytest.raises(InvalidJobError, match="get_value"):
        Job(name="j", definition=NAMED, environment={"TOKEN": dg.EnvVar("TOKEN")})


@pytest.mark.parametrize("uri", ["s3:///x", "s3://b/a#c", "s3://b/a?c"])
def test_a_scratch_place_that_would_become_another_is_refused(uri):
    with pytest.raises(ScratchError, match="use s3://"):
        open_scratch(uri)


def test_a_local_scratch_names_what_it_cannot_delete(tmp_path):
    scratch = open_scratch(str(tmp_path))
    scratch.put("a/b", b"1")
    with pytest.raises(ScratchError, match="can't delete scratch file"):
        scratch.delete("a")
