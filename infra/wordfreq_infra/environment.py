"""From the deployment to `wordfreq_dagster.settings`: one table, used for outputs and containers.

An output is named like its setting: `WordfreqBatchQueue` is the setting `batch_queue`, that is the
variable WORDFREQ_BATCH_QUEUE. So `cdk deploy --outputs-file` writes what the settings load.
"""

from __future__ import annotations

from collections.abc import Mapping

from wordfreq_infra.compute import ComputeStack
from wordfreq_infra.jobs import JobsStack
from wordfreq_infra.observability import ObservabilityStack
from wordfreq_infra.options import Options
from wordfreq_infra.storage import StorageStack

#: Spot prices move; these are about what a vCPU and a GiB of Spot m7i cost in us-east-1 in 2026.
PRICES = {"ec2": ("0.02", "0.0022"), "fargate": ("0.0125", "0.0014")}


def settings(
    options: Options,
    *,
    storage: StorageStack,
    compute: ComputeStack,
    jobs: JobsStack,
    observability: ObservabilityStack,
) -> Mapping[str, str]:
    """The settings of this deployment, by the names that `wordfreq_dagster.settings` gives them."""
    vcpu, gib = PRICES[options.compute]
    found = {
        "source": storage.source_uri,
        "destination": storage.uri("output"),
        "plans": storage.uri("plans"),
        "ranking": storage.uri("ranking"),
        "batch_queue": compute.queue_name,
        # Names without a revision: the newest counts, and a release changes no other stack.
        # Required tags on jobs too; by `project` the operator's policy knows its own.
        "batch_tags": ",".join(f"{key}={value}" for key, value in options.all_tags.items()),
        "plan_definition": jobs.names["plan"],
        "migrate_definition": jobs.names["migrate"],
        "merge_definition": jobs.names["merge"],
        "ingest_definition": jobs.names["ingest"],
        "csv_source": f"s3://{storage.uploads.bucket_name}/",
        "csv_rejects": storage.uri("rejects"),
        "csv_table": storage.table_name,
        "csv_columns": options.csv_columns,
        "csv_key": options.csv_key,
        "csv_events_queue_url": storage.csv_events.queue_url,
        "price_per_vcpu_hour": vcpu,
        "price_per_gb_hour": gib,
        "failure_sns_topic": observability.topic.topic_arn,
    }
    if options.csv_sort_key:
        found["csv_sort_key"] = options.csv_sort_key
    if options.csv_removed != "keep":
        found["csv_removed"] = options.csv_removed
    if options.fair_share:  # such a queue refuses jobs without one; letters and digits only
        found["share_identifier"] = options.name.replace("-", "")
    if not options.source:
        found["events_queue_url"] = storage.events.queue_url
    return found


def output_name(setting: str) -> str:
    """`batch_queue` -> `WordfreqBatchQueue`."""
    return "Wordfreq" + "".join(part.title() for part in setting.split("_"))


def variable_name(setting: str) -> str:
    """`batch_queue` -> `WORDFREQ_BATCH_QUEUE`."""
    return f"WORDFREQ_{setting.upper()}"
