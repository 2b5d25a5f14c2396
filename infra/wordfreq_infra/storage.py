"""Stack `storage`: buckets, the table of CSV rows, and the queues of S3's events."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from wordfreq_infra.options import ADDED, LOG_DAYS, Options

#: The events of a bucket that a sensor is sent.
CHANGES = ("Object Created", "Object Deleted")


def removal(options: Options) -> cdk.RemovalPolicy:
    """What becomes of data with its stack: kept, but not what a failed creation leaves behind."""
    if options.keep_data:
        return cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
    return cdk.RemovalPolicy.DESTROY


def log_group(scope: Construct, id: str, name: str, options: Options) -> logs.LogGroup:
    """A log group of the deployment: `/<name of the deployment>/<name>`, kept as long as chosen."""
    return logs.LogGroup(
        scope,
        id,
        log_group_name=f"/{options.name}/{name}",
        retention=logs.RetentionDays[LOG_DAYS[options.log_days]],
        removal_policy=cdk.RemovalPolicy.DESTROY,
    )


def bucket(
    scope: Construct,
    id: str,
    *,
    options: Options,
    key: kms.IKey | None = None,
    logs: s3.IBucket | None = None,
    keep_days: int | None = None,
    noncurrent_days: int = 90,
) -> s3.Bucket:
    """A private bucket, whose name is CloudFormation's: kept, it isn't in the way of the next."""
    return s3.Bucket(
        scope,
        id,
        encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
        encryption_key=key,
        bucket_key_enabled=True if key else None,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        versioned=True,
        removal_policy=removal(options),
        server_access_logs_bucket=logs,
        server_access_logs_prefix=f"{id.lower()}/" if logs else None,
        lifecycle_rules=[
            s3.LifecycleRule(
                id="tidy",
                abort_incomplete_multipart_upload_after=cdk.Duration.days(2),
                noncurrent_version_expiration=cdk.Duration.days(noncurrent_days),
                expiration=cdk.Duration.days(keep_days) if keep_days else None,
                expired_object_delete_marker=None if keep_days else True,
            )
        ],
    )


class StorageStack(cdk.Stack):
    """Where data lies. `source_uri` and the other `…_uri` are what the settings are given."""

    def __init__(self, scope: Construct, id: str, *, options: Options) -> None:
        super().__init__(scope, id, description="wordfreq: buckets, table, events")
        self.key = (
            kms.Key.from_key_arn(self, "DataKey", options.kms_key) if options.kms_key else None
        )
        # Logs arrive for hours after the last request: a bucket of them can't go with its stack.
        self.logs = (
            bucket(self, "AccessLogs", options=options, keep_days=90) if options.keep_data else None
        )
        self.source_prefix = "texts/"
        self.source, self.source_uri = self._source(options)
        self.results = self._bucket("Results", options, noncurrent_days=7)
        self.results.add_lifecycle_rule(
            id="plans", prefix="plans/", expiration=cdk.Duration.days(90)
        )
        self.uploads = self._bucket("Uploads", options)
        _send_to_eventbridge(self.uploads)
        self.table = self._table(options)
        self.table_name = self.table.table_name
        self.dead_letters, self.events = self._queues("Events", f"{options.name}-events")
        self.csv_dead_letters, self.csv_events = self._queues(
            "CsvEvents", f"{options.name}-csv-events"
        )
        self.export_value(self.events.queue_url)
        if not options.source:
            self._send_events(
                "SourceChanged", f"{options.name}-source-changed", self.source, self.events
            )
        self._send_events(
            "UploadsChanged", f"{options.name}-uploads-changed", self.uploads, self.csv_events
        )

    def uri(self, folder: str) -> str:
        """The place of a folder in the bucket of results."""
        return f"s3://{self.results.bucket_name}/{folder}"

    def _source(self, options: Options) -> tuple[s3.IBucket, str]:
        # Made even if another is given: a deployment may go over to one that exists, or come back.
        made = self._bucket("Source", options, noncurrent_days=30)
        _send_to_eventbridge(made)
        self.export_value(made.bucket_arn)
        self.export_value(made.bucket_name)
        if not options.source:
            return made, f"s3://{made.bucket_name}/texts"
        name, _, prefix = options.source.removeprefix("s3://").partition("/")
        self.source_prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        return s3.Bucket.from_bucket_name(self, "GivenSource", name), options.source

    def _bucket(self, id: str, options: Options, *, noncurrent_days: int = 90) -> s3.Bucket:
        return bucket(
            self,
            id,
            options=options,
            key=self.key,
            logs=self.logs,
            noncurrent_days=noncurrent_days,
        )

    def _table(self, options: Options) -> dynamodb.Table:
        def attribute(name: str) -> dynamodb.Attribute:
            kind = dynamodb.AttributeType[options.csv_types[name].upper()]
            return dynamodb.Attribute(name=name, type=kind)

        # No name of our own: one that was kept would be in the way of the next deploy.
        made = dynamodb.Table(
            self,
            "Rows",
            partition_key=attribute(options.csv_key),
            sort_key=attribute(options.csv_sort_key) if options.csv_sort_key else None,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED
            if self.key
            else dynamodb.TableEncryption.AWS_MANAGED,
            encryption_key=self.key,
            removal_policy=removal(options),
        )
        if options.csv_time_index:
            file, time = (
                dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING) for name in ADDED
            )
            made.add_global_secondary_index(index_name=time.name, partition_key=file, sort_key=time)
        return made

    def _queues(self, id: str, name: str) -> tuple[sqs.Queue, sqs.Queue]:
        """A queue of events, and before it the one of messages nobody could use."""
        dead = self._queue(f"{id}Dead", f"{name}-dead")
        return dead, self._queue(id, name, dead=dead)

    def _queue(self, id: str, name: str, dead: sqs.Queue | None = None) -> sqs.Queue:
        return sqs.Queue(
            self,
            id,
            queue_name=name,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(14 if dead is None else 7),
            visibility_timeout=cdk.Duration.seconds(60),
            receive_message_wait_time=cdk.Duration.seconds(0 if dead is None else 5),
            # A message waits in the queue until its run has been requested, which may take ticks.
            dead_letter_queue=None
            if dead is None
            else sqs.DeadLetterQueue(queue=dead, max_receive_count=20),
        )

    def _send_events(self, id: str, rule_name: str, bucket: s3.IBucket, queue: sqs.Queue) -> None:
        """Let the queue have the bucket's events."""
        events.Rule(
            self,
            id,
            rule_name=rule_name,
            description="Tells a sensor that an object came, changed or went",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=[*CHANGES],
                detail={"bucket": {"name": [bucket.bucket_name]}},
            ),
            targets=[targets.SqsQueue(queue)],
        )


def _send_to_eventbridge(bucket: s3.Bucket) -> None:
    """As plain CloudFormation: `event_bridge_enabled=True` would bring a Lambda function."""
    resource = bucket.node.default_child
    assert isinstance(resource, s3.CfnBucket)
    resource.add_property_override(
        "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled", True
    )
