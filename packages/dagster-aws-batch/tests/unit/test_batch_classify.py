"""The fifteen classes of failure, from the words that AWS really says."""

from __future__ import annotations

import pytest

from dagster_aws_batch._aws.answers import Evidence, classify
from dagster_aws_batch._results import FailureClass as F

EXITED = "Essential container in task exited"
NOT_STARTED = "Task failed to start"

# (class, status reason, container reason, exit code, terminated)
SAMPLES = [
    (F.USER_CODE, EXITED, "", 1, False),
    (F.USER_CODE, EXITED, "", 137, False),
    (F.USER_CODE, EXITED, "Error", 2, False),
    (F.OUT_OF_MEMORY, EXITED, "OutOfMemoryError: Container killed due to memory usage", 137, False),
    (F.OUT_OF_MEMORY, EXITED, "OutOfMemoryError: Container killed due to memory usage", 2, False),
    (F.OUT_OF_MEMORY, "OutOfMemoryError: container killed", "", None, False),
    # On EKS the container's reason is Kubernetes'.
    (F.OUT_OF_MEMORY, "Task failed", "OOMKilled", 137, False),
    (F.IMAGE_PULL, NOT_STARTED, "ImagePullBackOff: Back-off pulling image x:9", None, False),
    (F.START, NOT_STARTED, "CreateContainerConfigError: secret y not found", None, False),
    (F.SPOT_EC2, "Host EC2 (instance i-0cea2b3f9b8ad10d5) terminated.", "", None, False),
    (F.SPOT_EC2, "Host EC2 (instance i-0cea2b3f9b8ad10d5) terminated.", "", 137, False),
    (F.SPOT_FARGATE, "Your Spot Task was interrupted.", "", None, False),
    (F.SPOT_FARGATE, "Your Spot Task was interrupted.", "", 143, False),
    (F.TIMEOUT, "Job attempt duration exceeded timeout", "", 137, False),
    (F.TIMEOUT, "Job attempt duration exceeded timeout", "", None, False),
    (
        F.IMAGE_PULL_AUTH,
        NOT_STARTED,
        "CannotPullContainerError: Error response from daemon: pull access denied for nope, "
        "repository does not exist or may require 'docker login': denied: requested access to "
        "the resource is denied",
        None,
        False,
    ),
    (
        F.IMAGE_PULL_AUTH,
        NOT_STARTED,
        "CannotPullContainerError: Error response from daemon: Head "
        "https://1.dkr.ecr.us-east-1.amazonaws.com/v2/x/manifests/1: no basic auth credentials",
        None,
        False,
    ),
    (
        F.IMAGE_PULL_AUTH,
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource "
        "retrieval failed: AccessDeniedException: User is not authorized to perform: "
        "ecr:GetAuthorizationToken",
        "",
        None,
        False,
    ),
    (
        F.IMAGE_PULL,
        NOT_STARTED,
        "CannotPullContainerError: Error response from daemon: manifest for x:9 not found",
        None,
        False,
    ),
    (F.IMAGE_PULL, NOT_STARTED, "CannotPullContainerError: context canceled", None, False),
    (
        F.START,
        "ECS was unable to assume the role 'arn:aws:iam::1:role/jobs' that was provided for this "
        "task. Please verify that the role being passed has the proper trust relationship.",
        "",
        None,
        False,
    ),
    (
        F.IMAGE_PULL,
        NOT_STARTED,
        "CannotPullContainerError: toomanyrequests: You have reached your pull rate limit",
        None,
        False,
    ),
    (
        F.START,
        NOT_STARTED,
        "CannotStartContainerError: Error response from daemon: failed to initialize logging "
        "driver: ResourceNotFoundException: The specified log group does not exist.",
        None,
        False,
    ),
    (
        F.START,
        NOT_STARTED,
        "CannotCreateContainerError: Error response from daemon: invalid mount config",
        None,
        False,
    ),
    (
        F.START,
        "ResourceInitializationError: unable to pull secrets: secretsmanager: not found",
        "",
        None,
        False,
    ),
    (F.START, "ECS was unable to assume role 'arn:aws:iam::1:role/x'", "", None, False),
    (F.START, NOT_STARTED, "", None, False),
    (F.AGENT, NOT_STARTED, "DockerTimeoutError: Could not transition to created", None, False),
    (
        F.AGENT,
        EXITED,
        "CannotInspectContainerError: Could not transition to inspecting; timed out",
        None,
        False,
    ),
    (F.AGENT, "AGENT", "", None, False),
    (F.OVERRIDE_TOO_LONG, "Container Overrides length must be at most 8192", "", None, False),
    (
        F.UNSCHEDULABLE,
        "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue "
        "have reached their maximum",
        "",
        None,
        True,
    ),
    (F.UNSCHEDULABLE, "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS - x", "", None, False),
    (F.UNSCHEDULABLE, "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - x", "", None, True),
    (F.TERMINATED, "too costly", "", None, True),
    (F.TERMINATED, "too costly", "", 143, True),
    # Ended on purpose: that its host went away as well must not start it again.
    (F.TERMINATED, "Host EC2 (instance i-0) terminated.", "", None, True),
    (F.DEPENDENCY, "Dependent Job failed", "", None, False),
    (F.UNKNOWN, "Something new", "", None, False),
    (F.UNKNOWN, "", "", None, False),
    (F.UNKNOWN, EXITED, "", None, False),
]


@pytest.mark.parametrize("sample", SAMPLES)
def test_recorded_words(sample):
    failure, status, container, code, terminated = sample
    evidence = Evidence(
        status_reason=status, container_reason=container, exit_code=code, terminated=terminated
    )
    assert classify(evidence) is failure
    assert failure.remedy.endswith((".", ")"))


def test_all_classes_but_lost_have_a_sample():
    assert {sample[0] for sample in SAMPLES} == set(F) - {F.LOST}
    assert len(F) == 15


def test_both_reasons_are_shown_once():
    assert Evidence(status_reason="a", container_reason="b").text == "a: b"
    assert Evidence(status_reason="a", container_reason="a").text == "a"
