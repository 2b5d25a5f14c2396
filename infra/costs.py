"""The cost table of docs/aws.md, computed: `make infra-costs` prints it, a test compares the two.

Change an assumption or a price here, and paste what it prints.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

HOURS = 730  # of a month


@dataclass(frozen=True)
class Prices:
    """USD, us-east-1: AWS's public price pages as remembered in November 2026, not compared.

    Spot prices move; these are about what they were.
    """

    spot_vcpu_hour: float = 0.02
    spot_gib_hour: float = 0.0022
    s3_gb_month: float = 0.023
    s3_put: float = 0.005 / 1000
    s3_get: float = 0.0004 / 1000
    dynamodb_write: float = 0.625 / 1e6
    dynamodb_gb_month: float = 0.25 + 0.20  # with point-in-time recovery
    sqs_request: float = 0.40 / 1e6
    logs_gb: float = 0.50
    alarm: float = 0.10
    kms_key: float = 1.0
    ecr_gb_month: float = 0.10
    ipv4_hour: float = 0.005
    nat_hour: float = 0.045
    nat_gb: float = 0.045
    endpoint_hour: float = 0.01
    fargate_vcpu_hour: float = 0.04048
    fargate_gib_hour: float = 0.004445
    fargate_arm_vcpu_hour: float = 0.03238
    fargate_arm_gib_hour: float = 0.00356
    metric: float = 0.30  # of Container Insights
    rds_t4g_micro_hour: float = 0.016
    rds_gb_month: float = 0.115
    secret: float = 0.40


@dataclass(frozen=True)
class Month:
    """What a month holds. The busy one: 100 GB in 100,000 files, 1 % of them changed each day."""

    vcpu_hours: float = 0.0  # counting and merging
    gib_hours: float = 0.0
    host_hours: float = 0.0
    stored_gb: float = 0.0  # texts, counts, results
    files: int = 0  # counted: all once, and the changes
    csv_rows: int = 0
    log_gb: float = 0.0
    nat_gb: float = 0.0
    polls: int = 0  # of two queues every 30 s, where Dagster runs
    services: int = 3  # of Dagster, each 0.5 vCPU and 1 GiB


POLLS = 2 * HOURS * 3600 // 30
IDLE = Month(log_gb=0.1, polls=POLLS)
BUSY = Month(
    vcpu_hours=8, gib_hours=16, host_hours=4, stored_gb=110, files=130_000, csv_rows=20_000,
    log_gb=1, nat_gb=1, polls=POLLS,
)  # fmt: skip
# Of services and cluster, estimated: AWS says nowhere how many there are.
DAGSTER_METRICS, DAGSTER_ALARMS = 60, 5
ALARMS, ENDPOINTS, DAGSTER_ENDPOINTS, ZONES, IMAGE_GB = 4, 6, 7, 2, 0.3
FARGATE_ENDPOINTS = 3


def parts(month: Month, price: Prices) -> Iterator[tuple[str, float, str]]:
    """What every deployment costs: name, USD a month, how that was computed."""
    yield (
        "AWS Batch compute (Spot)",
        month.vcpu_hours * price.spot_vcpu_hour + month.gib_hours * price.spot_gib_hour,
        "8 vCPU-h, 16 GiB-h; no host when idle",
    )
    yield "S3 storage", month.stored_gb * price.s3_gb_month, "110 GB"
    yield (
        "S3 requests",
        month.files * (price.s3_get + 2 * price.s3_put),
        "130,000 × (1 GET, 2 PUT), the most with one file per task",
    )
    yield "DynamoDB on demand", month.csv_rows * price.dynamodb_write, "20,000 rows below 1 KB"
    yield "SQS", month.polls * price.sqs_request, "2 queues looked at every 30 s"
    yield (
        "CloudWatch logs, alarms",
        month.log_gb * price.logs_gb + ALARMS * price.alarm,
        "0.1 and 1 GB; 4 alarms",
    )
    yield "KMS key of the alerts", price.kms_key, ""
    yield "ECR", IMAGE_GB * price.ecr_gb_month, "0.3 GB"
    yield (
        "public IPv4 (`network=public`)",
        month.host_hours * price.ipv4_hour,
        "while a host lives: 4 h",
    )


def extras(month: Month, price: Prices) -> Iterator[tuple[str, float, str]]:
    """What some options add."""
    yield (
        "`network=nat` adds",
        HOURS * price.nat_hour + month.nat_gb * price.nat_gb,
        "S3 goes by its free gateway endpoint",
    )
    endpoint = HOURS * price.endpoint_hour * ZONES
    yield (
        "`network=isolated` adds",
        ENDPOINTS * endpoint,
        f"6 interface endpoints × 2 zones; with Fargate 3: {FARGATE_ENDPOINTS * endpoint:.0f}",
    )
    fargate = (0.5 * price.fargate_vcpu_hour + price.fargate_gib_hour) * HOURS * month.services
    arm = (0.5 * price.fargate_arm_vcpu_hour + price.fargate_arm_gib_hour) * HOURS * month.services
    database = price.rds_t4g_micro_hour * HOURS + 20 * price.rds_gb_month
    watching = DAGSTER_METRICS * price.metric + DAGSTER_ALARMS * price.alarm
    yield (
        "`dagster=true` adds",
        fargate + database + watching + price.secret,
        f"3 services {fargate:.0f} (`arm64`: {arm:.0f}), RDS {database:.0f}, Container Insights "
        f"(some {DAGSTER_METRICS} metrics, estimated) and alarms {watching:.0f}, a secret; "
        f"with `public` {month.services * HOURS * price.ipv4_hour:.0f} more for addresses",
    )
    yield (
        "`dagster=true` with `isolated` adds further",
        DAGSTER_ENDPOINTS * endpoint,
        "7 more endpoints × 2 zones",
    )


def table(price: Prices | None = None) -> str:
    """The table as Markdown."""
    price = price or Prices()
    lines = ["| part | idle month | busy month | assumption |", "|---|---:|---:|---|"]
    idle, busy = list(parts(IDLE, price)), list(parts(BUSY, price))
    for (name, low, _), (_, high, how) in zip(idle, busy, strict=True):
        lines.append(f"| {name} | {low:.2f} | {high:.2f} | {how} |")
    low, high = (sum(cost for _, cost, _ in rows) for rows in (idle, busy))
    lines.append(f"| **sum, Dagster elsewhere** | **{low:.2f}** | **{high:.2f}** | |")
    for (name, low, _), (_, high, how) in zip(
        extras(IDLE, price), extras(BUSY, price), strict=True
    ):
        lines.append(f"| {name} | {low:.0f} | {high:.0f} | {how} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
