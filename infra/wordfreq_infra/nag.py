"""The checks of cdk-nag, and every finding we live with, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from wordfreq_infra.options import Options
from wordfreq_infra.permissions import CSV_PLANS

_BATCH = "arn:<AWS::Partition>:batch:<AWS::Region>:<AWS::AccountId>"
_RESULTS, _SOURCE, _UPLOADS = (
    "<Results25575328.Arn>",
    "<Source71E471F1.Arn>",
    "<Uploads4F6EB0FD.Arn>",
)
_KEY = {
    f"AwsSolutions-IAM5[Action::kms:{action}*]": "CDK's own grant: both kinds of the call, one key"
    for action in ("GenerateDataKey", "ReEncrypt")
}
_OBJECTS = "objects below a folder have names that nobody knows beforehand"


def _resources(name: str, reasons: Mapping[str, str]) -> dict[str, str]:
    """One finding a resource with a `*` in it; `{name}` is the deployment's."""
    return {
        f"AwsSolutions-IAM5[Resource::{resource.format(name=name)}]": reason
        for resource, reason in reasons.items()
    }


def _orchestrator(name: str) -> dict[str, str]:
    revisions = "a job may name any revision of this one definition"
    return _resources(
        name,
        {
            "*": "Describe and List calls of AWS Batch know no resource; "
            "ecr:GetAuthorizationToken and ssmmessages (Session Manager) neither",
            _BATCH + ":job/*": "ids of jobs aren't known beforehand",
            **{
                _BATCH + ":job-definition/{name}-" + stage + ":*": revisions
                for stage in ("plan", "migrate", "merge", "ingest")
            },
            "arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>"
            ":log-group:/{name}/batch:log-stream:*": "a stream for each attempt of a job",
            **{
                f"{_RESULTS}/{one}/*": _OBJECTS
                for one in ("output", "plans", "ranking", "rejects", "rejects/.wordfreq")
            },
            _SOURCE + "/texts/*": _OBJECTS,
            _UPLOADS + "/*": _OBJECTS,
        },
    )


def accepted(options: Options) -> Mapping[str, Mapping[str, str]]:
    """Stack -> finding -> why it stays. cdk-nag wants each resource named, no patterns."""
    name = options.name
    given = options.source.removeprefix("s3://").strip("/")
    existing = {f"arn:<AWS::Partition>:s3:::{given}/*": _OBJECTS} if given else {}
    return {
        "storage": {
            "AwsSolutions-S1": "only where keep_data=false: logs arrive for hours, and a bucket of "
            "them couldn't go with its stack"
        },
        "compute": {
            "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
            "AmazonEC2ContainerServiceforEC2Role]": "the policy AWS keeps for ECS hosts; "
            "containers can't reach it (hop limit 1)"
        },
        "jobs": (_KEY if options.kms_key else {})
        | _resources(
            name,
            {
                f"{_RESULTS}/{CSV_PLANS}": _OBJECTS,
                "*": "ecr:GetAuthorizationToken knows no resource",
                **{
                    f"{_RESULTS}/{one}/*": _OBJECTS
                    for one in ("output", "output/.wordfreq", "plans", "ranking", "rejects")
                },
                _SOURCE + "/texts/*": _OBJECTS,
                _UPLOADS + "/*": _OBJECTS,
                **existing,
            },
        ),
        "access": _KEY | _orchestrator(name) | _resources(name, existing),
        "dagster": {
            **_KEY,
            **_orchestrator(name),
            **_resources(
                name,
                {
                    "<ComputeLogsB3D6DB4E.Arn>/compute-logs/*": _OBJECTS,
                    "arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>"
                    ":task/<ClusterEB0386A7>/*": "the tasks of runs, only in Dagster's own cluster",
                    "arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>"
                    ":task-definition/{name}-dagster-run:*": "any revision of this one definition",
                    "<Logs6819BB44.Arn>:log-stream:*": "a stream for each task",
                    **existing,
                },
            ),
            "AwsSolutions-RDS10": "protection would stop `make destroy`; a deletion leaves a "
            "snapshot",
            "AwsSolutions-SMG4": "Dagster reads the password when it starts; rotate by hand as "
            "docs/runbook.md says",
            "AwsSolutions-RDS3": "one zone: Dagster may be away while the database is restored",
            "AwsSolutions-RDS11": "the port is reachable from Dagster's security group only",
            "AwsSolutions-S1": "logs of steps, read through Dagster, kept for 90 days",
            "AwsSolutions-ELB2": "only where keep_data=false: logs arrive after the load balancer "
            "went, and a bucket of them couldn't go with its stack",
            "AwsSolutions-EC23": "only where ui_cidr=0.0.0.0/0 was chosen: the login guards the UI",
            "AwsSolutions-ECS2": "the variables hold names only; the password is a secret",
        },
    }


def findings(app: cdk.App, stacks: Mapping[str, cdk.Stack], options: Options) -> list[str]:
    """What cdk-nag finds that isn't accepted. Call it before `synth`.

    Not as a plugin of synth: references between stacks have become names with hashes by then, and
    no acceptance could name them.
    """
    for name, found in accepted(options).items():
        if name in stacks:
            for rule, reason in found.items():
                cdk.Validations.of(stacks[name]).acknowledge(
                    cdk.Acknowledgment(id=rule, reason=reason)
                )
    checks = AwsSolutionsChecks(app)
    return [
        f"{name}: {violation.rule_name}"
        for name, stack in stacks.items()
        for violation in checks.validate_scope(stack).violations
    ]
