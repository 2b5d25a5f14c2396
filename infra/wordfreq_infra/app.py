"""Joins the stacks, tags everything, writes the outputs and the policy of who starts runs."""

from __future__ import annotations

import json
from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from wordfreq_infra.compute import ComputeStack
from wordfreq_infra.dagster import DagsterStack
from wordfreq_infra.environment import output_name, settings
from wordfreq_infra.jobs import JobsStack
from wordfreq_infra.network import NetworkStack
from wordfreq_infra.observability import ObservabilityStack
from wordfreq_infra.options import Options
from wordfreq_infra.permissions import orchestrator
from wordfreq_infra.storage import StorageStack


class AccessStack(cdk.Stack):
    """The outputs, and a managed policy for people, CI and servers that start runs from outside."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        options: Options,
        values: Mapping[str, str],
        statements: list[iam.PolicyStatement],
        topic: sns.ITopic,
        key: kms.IKey | None,
    ) -> None:
        super().__init__(scope, id, description="wordfreq: outputs and the operators' policy")
        policy = iam.ManagedPolicy(
            self,
            "Operator",
            managed_policy_name=f"{options.name}-operator",
            description="Start, watch and end the stages, read and write their data",
            statements=statements,
        )
        # Not a statement of our own: the topic is encrypted, and only CDK's grant brings its key.
        topic.grant_publish(policy)
        if key:
            key.grant_encrypt_decrypt(policy)
        for setting, value in values.items():
            cdk.CfnOutput(self, output_name(setting), value=value)
        # What the next deploy compares its options with (`changes`).
        cdk.CfnOutput(self, "DeploymentOptions", value=json.dumps(options.chosen(), sort_keys=True))
        cdk.CfnOutput(self, "OperatorPolicyArn", value=policy.managed_policy_arn)


def build(scope: Construct, options: Options) -> dict[str, cdk.Stack]:
    """All stacks of one deployment, by their short names."""

    def stack_id(name: str) -> str:
        return f"{options.name}-{name}"

    network = NetworkStack(scope, stack_id("network"), options=options)
    storage = StorageStack(scope, stack_id("storage"), options=options)
    compute = ComputeStack(scope, stack_id("compute"), options=options, network=network)
    jobs = JobsStack(scope, stack_id("jobs"), options=options, network=network, storage=storage)
    observability = ObservabilityStack(
        scope, stack_id("observability"), options=options, compute=compute, storage=storage
    )
    values = settings(
        options, storage=storage, compute=compute, jobs=jobs, observability=observability
    )
    statements = orchestrator(
        storage,
        queue_arn=compute.queue_arn,
        definition_names=list(jobs.names.values()),
        log_group_arn=jobs.format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"/{options.name}/batch",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        ),
        project=options.name,
        arn_of=lambda rest: jobs.format_arn(
            service="batch",
            resource=rest.partition("/")[0],
            resource_name=rest.partition("/")[2],
        ),
    )
    access = AccessStack(
        scope,
        stack_id("access"),
        options=options,
        values=values,
        statements=statements,
        topic=observability.topic,
        key=storage.key,
    )
    stacks: dict[str, cdk.Stack] = {
        "network": network,
        "storage": storage,
        "compute": compute,
        "jobs": jobs,
        "observability": observability,
        "access": access,
    }
    if options.dagster:
        stacks["dagster"] = DagsterStack(
            scope,
            stack_id("dagster"),
            options=options,
            network=network,
            values=values,
            statements=statements,
            topic=observability.topic,
            key=storage.key,
        )
    for stack in stacks.values():
        for key, value in options.all_tags.items():
            cdk.Tags.of(stack).add(key, value)
        if options.permissions_boundary:
            boundary = iam.ManagedPolicy.from_managed_policy_arn(
                stack, "Boundary", options.permissions_boundary
            )
            iam.PermissionsBoundary.of(stack).apply(boundary)
    return stacks
