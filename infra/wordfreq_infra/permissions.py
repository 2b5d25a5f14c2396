"""Who may do what: the statements of each stage's role, and of whoever starts the stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from wordfreq_infra.storage import StorageStack

READ = ("s3:GetObject",)
#: What was replaced meanwhile is read as the plan knows it: the buckets keep versions.
VERSIONS = ("s3:GetObject", "s3:GetObjectVersion")
WRITE = ("s3:PutObject", "s3:AbortMultipartUpload")
DELETE = ("s3:DeleteObject",)
#: Everything below a destination that is no result: the ledger of what is done, and partials.
BOOKS = "output/.wordfreq/*"
CSV_BOOKS = "rejects/.wordfreq/*"
#: Plans and receipts of CSVs: each has `-csv` in the name of its plan, and no other has.
CSV_PLANS = "plans/*-csv*"


def grants(
    storage: StorageStack, *, mirror: bool = False
) -> Mapping[str, Sequence[iam.PolicyStatement]]:
    """The statements of each stage's role.

    Neither pipeline may write the plans and receipts of the other: a container that a hostile file
    has taken over can't decide what the other pipeline reads and reports.

    Every stage may list the buckets it reads: without that right S3 answers 403, not 404, for an
    object that isn't there, and `missing` would look like `forbidden`. A condition on the prefix
    would have the same effect, as the request for an object carries none.

    Args:
        mirror: items whose uploads are gone are deleted (`csv_removed`).
    """
    source, results, uploads = storage.source, storage.results, storage.uploads
    receipts = _objects(results, ["plans/*"], READ + WRITE)
    others = _objects(results, [CSV_PLANS], READ + WRITE, sid="NoPlansOfCsv", deny=True)
    rows = ["dynamodb:BatchWriteItem", "dynamodb:DescribeTable", "dynamodb:PutItem"]
    if mirror:
        rows += ["dynamodb:DeleteItem", "dynamodb:Scan"]
    return {
        "plan": [
            _list(source, results),
            receipts,
            others,
            _objects(results, [BOOKS], READ + WRITE + DELETE),
        ],
        "migrate": [
            _list(source, results, versions=True),
            receipts,
            others,
            _objects(source, [f"{storage.source_prefix}*"], VERSIONS),
            _objects(results, ["output/*"], READ + WRITE),
        ],
        "merge": [
            _list(results, versions=True),
            receipts,
            others,
            _objects(results, ["output/*"], VERSIONS),
            _objects(results, [BOOKS], WRITE + DELETE),
            _objects(results, ["ranking/*"], READ + WRITE),
        ],
        "ingest": [
            _list(uploads, results, versions=True),
            _objects(results, [CSV_PLANS], READ + WRITE),
            _objects(uploads, ["*"], VERSIONS),
            _objects(results, ["rejects/*"], READ + WRITE),
            iam.PolicyStatement(sid="Rows", actions=rows, resources=[storage.table.table_arn]),
        ],
    }


def orchestrator(
    storage: StorageStack,
    *,
    queue_arn: str,
    definition_names: Iterable[str],
    log_group_arn: str,
    arn_of: object,
    project: str,
) -> list[iam.PolicyStatement]:
    """What Dagster needs to start the stages, watch them and read what they left.

    Args:
        arn_of: `Stack.format_arn`-like: called with a Batch resource (`job/*`), returns its ARN.
        project: the value of the tag `project` of jobs: those of others can be neither ended nor
            tagged. Only whole jobs are ended: children of arrays have no tags.
    """
    batch_arn = arn_of if callable(arn_of) else str
    names = [batch_arn(f"job-definition/{name}") for name in definition_names]
    return [
        iam.PolicyStatement(
            sid="Submit",
            actions=["batch:SubmitJob"],
            # A request may name a revision or not: both spellings are needed.
            resources=[queue_arn, *names, *(f"{name}:*" for name in names)],
        ),
        iam.PolicyStatement(
            sid="End",
            actions=["batch:TerminateJob", "batch:CancelJob"],
            resources=[batch_arn("job/*")],
            conditions={"StringEquals": {"aws:ResourceTag/project": project}},
        ),
        iam.PolicyStatement(
            sid="Tag",  # part of SubmitJob with tags
            actions=["batch:TagResource"],
            resources=[batch_arn("job/*")],
            conditions={"StringEquals": {"aws:RequestTag/project": project}},
        ),
        iam.PolicyStatement(
            sid="Look",
            actions=[
                "batch:DescribeJobs",
                "batch:ListJobs",
                "batch:DescribeJobQueues",
                "batch:DescribeJobDefinitions",
                "batch:DescribeComputeEnvironments",
                "batch:DescribeSchedulingPolicies",
                "logs:DescribeLogGroups",
            ],
            resources=["*"],
        ),
        iam.PolicyStatement(
            sid="Logs",
            actions=["logs:GetLogEvents", "logs:DescribeLogStreams"],
            resources=[log_group_arn, f"{log_group_arn}:log-stream:*"],
        ),
        _list(storage.source, storage.results, storage.uploads),
        _objects(storage.source, [f"{storage.source_prefix}*"], READ, sid="Source"),
        _objects(storage.uploads, ["*"], READ, sid="Uploads"),
        # A full recount removes counts; the plan of chosen files is written without a container.
        _objects(
            storage.results, ["output/*", "plans/*"], READ + WRITE + DELETE, sid="CountsAndPlans"
        ),
        _objects(storage.results, ["ranking/*"], READ, sid="Answers"),
        # The rejects of an upload that is gone go too; uploads are planned without a container.
        _objects(storage.results, ["rejects/*"], READ + DELETE, sid="Rejects"),
        _objects(storage.results, [CSV_BOOKS], WRITE, sid="CsvBooks"),
        iam.PolicyStatement(
            sid="Rows",
            actions=["dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:Query"],
            resources=[storage.table.table_arn],
        ),
        iam.PolicyStatement(
            sid="Events",
            actions=[
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
            ],
            resources=[storage.events.queue_arn, storage.csv_events.queue_arn],
        ),
    ]


def _list(*buckets: s3.IBucket, versions: bool = False) -> iam.PolicyStatement:
    actions = ["s3:ListBucket", *(["s3:ListBucketVersions"] if versions else [])]
    return iam.PolicyStatement(
        sid="List", actions=actions, resources=[one.bucket_arn for one in buckets]
    )


def _objects(
    bucket: s3.IBucket,
    patterns: Sequence[str],
    actions: Sequence[str],
    *,
    sid: str | None = None,
    deny: bool = False,
) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid=sid,
        effect=iam.Effect.DENY if deny else iam.Effect.ALLOW,
        actions=list(actions),
        resources=[bucket.arn_for_objects(pattern) for pattern in patterns],
    )
