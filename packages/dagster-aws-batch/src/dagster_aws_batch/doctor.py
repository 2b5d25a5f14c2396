"""The preflight: whether a job would run, and what to repair; for the command `doctor`.

Looks at queue, compute environments, definition, roles, log groups, share identifier, sizes, and
whether jobs may be listed and described. It changes nothing, but for one object in the scratch
place that it writes, lists, reads and deletes. What it may not look at (a permission, a service
that is not there) is reported as not checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dagster_aws_batch._aws.answers import DEFAULT_LOG_GROUP
from dagster_aws_batch._aws.fargate import fargate_problem
from dagster_aws_batch._aws.job_definitions import registration
from dagster_aws_batch._aws.requests import MAX_OVERRIDE_CHARACTERS
from dagster_aws_batch._errors import BatchError
from dagster_aws_batch._job import BatchJobDefinition
from dagster_aws_batch._scratch import Scratch
from dagster_aws_batch.findings import Finding, Level, answer_to

__all__ = [
    "Clients",
    "Wanted",
    "examine",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """boto3 clients; None: that service is not asked."""

    batch: Any
    logs: Any = None
    iam: Any = None
    ec2: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be run: each part that is given is checked."""

    queue: str
    definition: str | BatchJobDefinition | None = None
    vcpus: float | None = None
    memory_mib: int | None = None
    gpus: int | None = None
    share_identifier: str | None = None


def examine(clients: Clients, wanted: Wanted, scratch: Scratch | None = None) -> list[Finding]:
    """Look at everything, in the order in which a job meets it."""
    queue, findings = _queue(clients, wanted)
    environments: list[Any] = []
    if queue is not None:
        findings += _share(clients, queue, wanted.share_identifier)
        environments, more = _environments(clients, queue)
        findings += more
        findings += _jobs(clients, wanted.queue)
    definition, more = _definition(clients, wanted.definition)
    findings += more
    if definition is not None:
        findings += _platform(definition, environments)
        findings += _roles(clients, definition)
        findings += _logs(clients, definition)
        findings += _strategy(definition)
    findings += _size(clients, wanted, definition, environments)
    findings += _scratch(scratch)
    return findings


def _queue(clients: Clients, wanted: Wanted) -> tuple[Any, list[Finding]]:
    about = f"queue {wanted.queue}"
    names = [wanted.queue]
    answer, findings = answer_to(about, lambda: clients.batch.describe_job_queues(jobQueues=names))
    if answer is None:
        return None, findings
    if not answer["jobQueues"]:
        advice = "Check the name, the Region and the account, or create the queue"
        return None, [Finding(Level.ERROR, about, "does not exist", advice)]
    queue = answer["jobQueues"][0]
    return queue, _usable(about, queue, "Wait if it is being updated; else repair what is named")


def _usable(about: str, one: Any, repair: str) -> list[Finding]:
    findings = []
    if one.get("state") != "ENABLED":
        findings.append(Finding(Level.ERROR, about, "is disabled", "Enable it"))
    if one.get("status") != "VALID":
        why = one.get("statusReason") or "no reason given"
        findings.append(Finding(Level.ERROR, about, f"is {one.get('status')}: {why}", repair))
    return findings or [Finding(Level.OK, about, "is enabled and valid")]


def _jobs(clients: Clients, queue: str) -> list[Finding]:
    """The calls of every run that change nothing: without them no job can be watched."""
    about = f"jobs of queue {queue}"
    requests = (
        lambda: clients.batch.list_jobs(jobQueue=queue, jobStatus="RUNNING", maxResults=1),
        lambda: clients.batch.describe_jobs(jobs=["00000000-0000-0000-0000-000000000000"]),
    )
    failed = [one for request in requests for one in answer_to(about, request)[1]]
    refused = [one for one in failed if "(AccessDenied" in one.text]
    advice = "Allow it: docs/permissions.md has a policy"
    findings = [Finding(Level.ERROR, about, one.text, advice) for one in refused] or failed
    return findings or [Finding(Level.OK, about, "can be listed and described")]


def _share(clients: Clients, queue: Any, identifier: str | None) -> list[Finding]:
    about, policy_arn = "share identifier", queue.get("schedulingPolicyArn")
    if policy_arn and not identifier:
        text = f"queue {queue['jobQueueName']} shares by a scheduling policy, and none is given"
        return [Finding(Level.ERROR, about, text, "Set Job.share_identifier")]
    if identifier and not policy_arn:
        name = queue["jobQueueName"]
        text = f"{identifier!r} is given, but queue {name} has no scheduling policy"
        return [Finding(Level.ERROR, about, text, "Leave share_identifier out for this queue")]
    if not policy_arn:
        return [Finding(Level.OK, about, "none is needed")]
    answer, findings = answer_to(
        about, lambda: clients.batch.describe_scheduling_policies(arns=[policy_arn])
    )
    if answer is None or not answer["schedulingPolicies"]:
        return findings
    policy = answer["schedulingPolicies"][0].get("fairsharePolicy") or {}
    known = [share["shareIdentifier"] for share in policy.get("shareDistribution") or []]
    if known and not any(fnmatchcase(str(identifier), one) for one in known):  # `team*`
        text = f"{identifier!r} has no weight in the policy (it has {', '.join(known)})"
        advice = "It gets the default weight 1.0; add it if not meant"
        return [Finding(Level.WARNING, about, text, advice)]
    return [Finding(Level.OK, about, f"{identifier!r} suits the queue's policy")]


def _environments(clients: Clients, queue: Any) -> tuple[list[Any], list[Finding]]:
    names = [one["computeEnvironment"] for one in queue.get("computeEnvironmentOrder", [])]
    if not names:
        advice = "Attach one (UpdateJobQueue)"
        return [], [Finding(Level.ERROR, "compute environment", "the queue has none", advice)]
    answer, findings = answer_to(
        "compute environment",
        lambda: clients.batch.describe_compute_environments(computeEnvironments=names),
    )
    if answer is None:
        return [], findings
    advice = "Repair what the reason names: usually a role, subnet or launch template"
    for one in answer["computeEnvironments"]:
        findings += _usable(f"compute environment {one['computeEnvironmentName']}", one, advice)
    return answer["computeEnvironments"], findings


def _definition(
    clients: Clients, definition: str | BatchJobDefinition | None
) -> tuple[Any, list[Finding]]:
    if definition is None:
        return None, []
    if isinstance(definition, BatchJobDefinition):
        try:
            request = registration(definition)
        except BatchError as error:
            return None, [Finding(Level.ERROR, f"definition of {definition.image}", str(error))]
        about = f"definition {request['jobDefinitionName']}"
        return request, [Finding(Level.OK, about, "fits into a request")]
    about = f"definition {definition}"
    name, _, revision = definition.rpartition("job-definition/")[2].partition(":")
    request = (
        {"jobDefinitions": [definition]}
        if revision
        else {"jobDefinitionName": name, "status": "ACTIVE"}
    )
    answer, findings = answer_to(about, lambda: clients.batch.describe_job_definitions(**request))
    if answer is None:
        return None, findings
    active = [one for one in answer["jobDefinitions"] if one.get("status") == "ACTIVE"]
    if not active:
        advice = "Register it, or give BatchJobs a BatchJobDefinition and let it do so"
        return None, [Finding(Level.ERROR, about, "has no active revision", advice)]
    newest = max(active, key=lambda one: one.get("revision", 0))
    if newest.get("nodeProperties"):
        advice = "Use one with containers of one node"
        text = "is of several nodes: not run by this client"
        return None, [Finding(Level.ERROR, about, text, advice)]
    return newest, [Finding(Level.OK, about, f"is active, revision {newest.get('revision')}")]


def _platform(definition: Any, environments: Sequence[Any]) -> list[Finding]:
    wants = set(definition.get("platformCapabilities") or ["EC2"])
    wants = {"EKS"} if definition.get("eksProperties") else wants
    kinds = {_kind(one) for one in environments}
    if kinds and not wants & kinds:
        text = f"the definition is for {'/'.join(wants)}, the queue runs {'/'.join(kinds)}"
        return [Finding(Level.ERROR, "platform", text, "Use another queue, or another `platform`")]
    return [Finding(Level.OK, "platform", "/".join(sorted(wants)))] if kinds else []


def _kind(environment: Any) -> str:
    if environment.get("eksConfiguration"):
        return "EKS"
    resources = environment.get("computeResources") or {}
    return "FARGATE" if "FARGATE" in resources.get("type", "") else "EC2"


def _task(definition: Any) -> tuple[Any, Sequence[Any]]:
    """The part of a definition that has its roles, and its containers; empty on EKS."""
    if tasks := (definition.get("ecsProperties") or {}).get("taskProperties"):
        return tasks[0], tasks[0].get("containers") or []
    container = definition.get("containerProperties") or {}
    return container, [container]


def _roles(clients: Clients, definition: Any) -> list[Finding]:
    task, _ = _task(definition)
    fargate = "FARGATE" in (definition.get("platformCapabilities") or [])
    findings = []
    if fargate and not task.get("executionRoleArn"):
        advice = "Give the definition an execution_role_arn that may pull images and write logs"
        findings.append(Finding(Level.ERROR, "execution role", "Fargate needs one", advice))
    for field in ("executionRoleArn", "jobRoleArn"):
        if clients.iam is not None and (arn := task.get(field)):
            findings.append(_role(clients, f"{field} {arn}", arn.rsplit("/", 1)[-1]))
    return findings


def _role(clients: Clients, about: str, name: str) -> Finding:
    answer, findings = answer_to(about, lambda: clients.iam.get_role(RoleName=name))
    if answer is None:
        return findings[0]
    if "ecs-tasks.amazonaws.com" in str(answer["Role"].get("AssumeRolePolicyDocument")):
        return Finding(Level.OK, about, "exists and trusts ecs-tasks.amazonaws.com")
    text = "does not trust ecs-tasks.amazonaws.com"
    return Finding(Level.ERROR, about, text, "Add that service to the role's trust policy")


def _logs(clients: Clients, definition: Any) -> list[Finding]:
    if clients.logs is None or definition.get("eksProperties"):
        return []
    found = (_log(clients, container) for container in _task(definition)[1])
    return list(dict.fromkeys(found))  # containers mostly share their group


def _log(clients: Clients, container: Any) -> Finding:
    logging = container.get("logConfiguration") or {}
    if logging.get("logDriver", "awslogs") != "awslogs":
        text = f"the log driver is {logging['logDriver']}: failures will have no log tail"
        return Finding(Level.WARNING, "log group", text, "Use awslogs to see it in Dagster")
    options = logging.get("options") or {}
    group = options.get("awslogs-group") or DEFAULT_LOG_GROUP
    about = f"log group {group}"
    answer, findings = answer_to(
        about, lambda: clients.logs.describe_log_groups(logGroupNamePrefix=group)
    )
    if answer is None:
        return findings[0]
    if any(one["logGroupName"] == group for one in answer["logGroups"]):
        return Finding(Level.OK, about, "exists")
    if group == DEFAULT_LOG_GROUP or options.get("awslogs-create-group") == "true":
        return Finding(Level.OK, about, "will be made by the first job")
    advice = "Create it, or set awslogs-create-group: without it no container starts"
    return Finding(Level.ERROR, about, "does not exist", advice)


def _strategy(definition: Any) -> list[Finding]:
    rules = (definition.get("retryStrategy") or {}).get("evaluateOnExit") or []
    if rules and not any(
        rule.get("action", "").upper() == "EXIT"
        and "*" in (rule.get("onReason"), rule.get("onStatusReason"), rule.get("onExitCode"))
        for rule in rules
    ):
        text = "its rules have no final EXIT on `*`: AWS Batch repeats whatever no rule matches"
        advice = "Add that rule, or give `Job.retries`: unset, a named definition's strategy holds"
        return [Finding(Level.WARNING, "retry strategy", text, advice)]
    return []


def _size(
    clients: Clients, wanted: Wanted, definition: Any, environments: Sequence[Any]
) -> list[Finding]:
    vcpus, memory, gpus = _asked(wanted, definition)
    if vcpus is None or memory is None or not environments:
        return []
    about = f"size {vcpus:g} vCPU, {memory:,.0f} MiB" + (f", {gpus:g} GPU" if gpus else "")
    problems: list[str] = []
    for one in environments:
        resources = one.get("computeResources") or {}
        name = one["computeEnvironmentName"]
        limit = resources.get("maxvCpus")
        if limit is not None and vcpus > limit:
            problems.append(f"{name} allows {limit} vCPUs in all")
        elif "FARGATE" in resources.get("type", ""):
            problem = "Fargate has no GPUs" if gpus else fargate_problem(vcpus, int(memory))
            if problem is None:
                return [Finding(Level.OK, about, f"fits Fargate in {name}")]
            problems.append(f"{name}: {problem}")
        else:
            sizes = _sizes(clients, resources.get("instanceTypes") or [])
            if not sizes or any(vcpus <= c and memory <= m and gpus <= g for c, m, g in sizes):
                known = "" if sizes else " (by maxvCpus; the instance types were not compared)"
                return [Finding(Level.OK, about, f"fits {name}{known}")]
            cpu, mib, gpu = max(sizes)
            problems.append(
                f"no instance type of {name} is large enough; the largest has {cpu} vCPUs and "
                f"{mib:,} MiB" + (f", {gpu} GPUs" if gpus else "")
            )
    advice = "Ask for less, or add a larger instance type to a compute environment"
    return [Finding(Level.ERROR, about, "; ".join(problems), advice)]


def _asked(wanted: Wanted, definition: Any) -> tuple[float | None, float | None, float]:
    """vCPUs and MiB, None where nothing says them, and GPUs: of all containers of a task."""
    asked: dict[str, float] = {}
    for container in _task(definition or {})[1]:
        for one in container.get("resourceRequirements") or []:
            asked[one["type"]] = asked.get(one["type"], 0) + float(one["value"])
    given = {"VCPU": wanted.vcpus, "MEMORY": wanted.memory_mib, "GPU": wanted.gpus}
    asked |= {kind: value for kind, value in given.items() if value is not None}
    return asked.get("VCPU"), asked.get("MEMORY"), asked.get("GPU", 0)


def _sizes(clients: Clients, types: Sequence[str]) -> list[tuple[int, int, int]]:
    """vCPUs, MiB and GPUs of each of these instance types.

    Empty unless all are single types that EC2 describes.
    """
    exact = [one for one in types if "." in one]
    if clients.ec2 is None or not exact or len(exact) < len(types):
        return []
    try:
        answer = clients.ec2.describe_instance_types(InstanceTypes=exact)
    except (ClientError, BotoCoreError):
        return []
    return [
        (
            one["VCpuInfo"]["DefaultVCpus"],
            int(one["MemoryInfo"]["SizeInMiB"] * 0.94),  # the rest is the agent's and the system's
            sum(gpu["Count"] for gpu in (one.get("GpuInfo") or {}).get("Gpus", [])),
        )
        for one in answer["InstanceTypes"]
    ]


def _scratch(scratch: Scratch | None) -> list[Finding]:
    if scratch is None:
        text = (
            "none is set: inputs and very long task lists (overrides over "
            f"{MAX_OVERRIDE_CHARACTERS:,} characters) will be refused"
        )
        return [Finding(Level.WARNING, "scratch", text, "Set scratch to an S3 prefix or a folder")]
    try:
        scratch.put("doctor", b"x")
        if scratch.get("doctor") != b"x" or "doctor" not in scratch.names("doctor"):
            text = "doesn't list, or gives back, what was written"
            return [Finding(Level.ERROR, f"scratch {scratch.uri}", text)]
        scratch.delete("doctor")
    except BatchError as error:
        advice = "Let this user (and the job role) read, write and list there"
        return [Finding(Level.ERROR, f"scratch {scratch.uri}", str(error), advice)]
    return [Finding(Level.OK, f"scratch {scratch.uri}", "can be written, listed, read, deleted")]
