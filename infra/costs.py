"""The cost tables of docs/aws.md, computed: `make infra-costs` prints them, a test compares.

Change an assumption or a price here, and paste what it prints.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

HOURS = 730  # of a month


@dataclass(frozen=True)
class Price:
    """A public price of us-east-1, and who said so when."""

    usd: float
    unit: str
    source: str
    read: str
    """The day or month of the source, or when it was read."""

    def __mul__(self, amount: float) -> float:
        return self.usd * amount


# A transcript of AWS's own page, the rest is what others read there.
_AWS = "AWS's page, in api-evangelist/"
_LIST = "AWS's price list, in ChiefGyk3D/Clouds-Against-Humanity"
_S3 = "devnotes.tech, Understanding S3 pricing"
PRICES = {
    "m7i": Price(0.1008, "m7i.large on demand, hour", "c3x.dev, half an m7i.xlarge", "2026"),
    "m7g": Price(0.0816, "m7g.large on demand, hour", "factualminds.com, EC2", "2026-06-17"),
    "s3_gb": Price(0.023, "S3 Standard, GB month", _S3, "undated"),
    "s3_put": Price(0.005 / 1000, "S3 PUT, COPY, POST, LIST", _S3, "undated"),
    "s3_get": Price(0.0004 / 1000, "S3 GET", _S3, "undated"),
    "write": Price(0.625 / 1e6, "DynamoDB write unit on demand", "airbyte.com", "2025-07-21"),
    "sqs": Price(0.40 / 1e6, "SQS request", "cloudburn.io, SQS", "2026-03-14"),
    "log": Price(0.50, "CloudWatch Logs, GB", "factualminds.com, CloudWatch", "2026-06-13"),
    "alarm": Price(0.10, "alarm, month", "api-evangelist/cloudwatch, generated", "2026-05-05"),
    "metric": Price(0.30, "custom metric, month", "signoz.io, CloudWatch", "2026-02-15"),
    "key": Price(1.00, "KMS key, month", "cloudburn.io, KMS", "2026-03-14"),
    "ecr": Price(0.10, "ECR, GB month", "cloudburn.io, ECR", "2026-03"),
    "ipv4": Price(0.005, "public IPv4 address, hour", _LIST, "2026-10-16"),
    "nat": Price(0.045, "NAT gateway, hour", _AWS + "amazon-vpc", "2026-09-20"),
    "nat_gb": Price(0.045, "NAT gateway, GB", _AWS + "amazon-vpc", "2026-09-20"),
    "endpoint": Price(0.01, "interface endpoint, hour and zone", "factualminds.com, VPC", "2026"),
    "vcpu": Price(0.04048, "Fargate vCPU, hour", _AWS + "amazon-ecs", "2026-09-20"),
    "gib": Price(0.004445, "Fargate GiB, hour", "wring.co, Fargate", "2026-03-10"),
    "vcpu_arm": Price(0.03238, "Fargate vCPU on arm64, hour", "vantage.sh, Fargate", "2021-04-22"),
    "gib_arm": Price(0.00356, "Fargate GiB on arm64, hour", "vantage.sh, Fargate", "2021-04-22"),
    "database": Price(0.016, "RDS db.t4g.micro, hour", "infratally.com, RDS", "2026"),
    "database_gb": Price(0.115, "RDS gp3, GB month", "usage.ai, RDS", "2026-06"),
    "balancer": Price(0.0225, "load balancer, hour", "bills in public repositories", "undated"),
    "secret": Price(0.40, "secret, month", _AWS + "amazon-secrets-manager", "2026-09-20"),
}


@dataclass(frozen=True)
class Month:
    """What a month holds. The busy one: 100 GB in 100,000 files, 1 % of them changed each day."""

    host_hours: float = (
        0.0  # of two vCPUs and 8 GiB: counting, merging, and until AWS Batch ends it
    )
    stored_gb: float = 0.0  # texts, counts, results
    files: int = 0  # counted: all once, and the changes
    csv_rows: int = 0
    log_gb: float = 0.0
    nat_gb: float = 0.0
    polls: int = 0  # of two queues every 30 s, where Dagster runs


POLLS = 2 * HOURS * 3600 // 30
IDLE = Month(log_gb=0.1, polls=POLLS)
BUSY = Month(
    host_hours=4, stored_gb=110, files=130_000, csv_rows=20_000, log_gb=1, nat_gb=1, polls=POLLS
)
SERVICES = 3  # of Dagster, each 0.5 vCPU and 1 GiB
# Of services and cluster, estimated: AWS says nowhere how many there are.
DAGSTER_METRICS, DAGSTER_ALARMS = 60, 5
# Of the endpoints for Dagster one is there already with EC2 hosts: ECS's.
ALARMS, ENDPOINTS, DAGSTER_ENDPOINTS, ZONES, IMAGE_GB = 4, 6, 6, 2, 0.3
FARGATE_ENDPOINTS, ADDRESSES = 3, 2


def parts(month: Month, *, arm: bool) -> Iterator[tuple[str, float, str]]:
    """What every deployment costs: name, USD a month, how that was computed."""
    price = PRICES
    yield (
        "AWS Batch compute, at the price on demand",
        price["m7g" if arm else "m7i"] * month.host_hours,
        f"{BUSY.host_hours:.0f} hours of an m7i.large, or m7g.large; no host when idle",
    )
    yield "S3 storage", price["s3_gb"] * month.stored_gb, f"{BUSY.stored_gb:.0f} GB"
    yield (
        "S3 requests",
        price["s3_get"] * month.files + price["s3_put"] * (2 * month.files),
        f"{BUSY.files:,} × (1 GET, 2 PUT), the most with one file per task",
    )
    yield (
        "DynamoDB on demand",
        price["write"] * month.csv_rows,
        f"{BUSY.csv_rows:,} rows below 1 KB",
    )
    yield "SQS", price["sqs"] * month.polls, "2 queues polled every 30 s"
    yield (
        "CloudWatch logs, alarms",
        price["log"] * month.log_gb + price["alarm"] * ALARMS,
        f"{IDLE.log_gb} and {BUSY.log_gb:.0f} GB; {ALARMS} alarms",
    )
    yield "KMS key of the alerts", price["key"] * 1, ""
    yield "ECR", price["ecr"] * IMAGE_GB, f"{IMAGE_GB} GB"
    yield (
        "public IPv4 (`network=public`)",
        price["ipv4"] * month.host_hours,
        f"while a host lives: {BUSY.host_hours:.0f} h",
    )


def extras(month: Month, *, arm: bool) -> Iterator[tuple[str, float, str]]:
    """What some options add."""
    price = PRICES
    yield (
        "`network=nat` adds",
        price["nat"] * HOURS + price["nat_gb"] * month.nat_gb,
        "S3 goes by its free gateway endpoint",
    )
    endpoint = price["endpoint"] * (HOURS * ZONES)
    yield (
        "`network=isolated` adds",
        ENDPOINTS * endpoint,
        f"{ENDPOINTS} interface endpoints × {ZONES} zones; with `compute=fargate` "
        f"{FARGATE_ENDPOINTS}: {FARGATE_ENDPOINTS * endpoint:.0f}",
    )
    yield (
        "`dagster=true` adds",
        dagster(arm=arm),
        f"{SERVICES} services {services(arm=False):.0f} (`arm64`: {services(arm=True):.0f}), RDS "
        f"{database():.0f}, Container Insights (some {DAGSTER_METRICS} metrics, estimated) and "
        f"alarms {watching():.0f}, a secret; with `public` "
        f"{addresses():.0f} more for addresses",
    )
    yield (
        "`dagster=true` with `isolated` adds further",
        DAGSTER_ENDPOINTS * endpoint,
        f"{DAGSTER_ENDPOINTS} more endpoints × {ZONES} zones; with `compute=fargate` "
        f"{DAGSTER_ENDPOINTS + 1}: {(DAGSTER_ENDPOINTS + 1) * endpoint:.0f}",
    )
    yield (
        "a login for the UI adds (`ui_certificate`)",
        price["balancer"] * HOURS + price["ipv4"] * (HOURS * ADDRESSES) + price["secret"] * 1,
        f"a load balancer with {ADDRESSES} addresses, a secret; capacity units by use, below 1",
    )


def services(*, arm: bool) -> float:
    """Dagster's services on Fargate, USD a month."""
    vcpu, gib = (PRICES[name + ("_arm" if arm else "")] for name in ("vcpu", "gib"))
    return (vcpu * 0.5 + gib * 1) * HOURS * SERVICES


def addresses() -> float:
    """Public addresses of Dagster's services with `network=public`, USD a month."""
    return PRICES["ipv4"] * (HOURS * SERVICES)


def database() -> float:
    """Dagster's database with 20 GB, USD a month."""
    return PRICES["database"] * HOURS + PRICES["database_gb"] * 20


def watching() -> float:
    """Container Insights and alarms of Dagster's services, USD a month."""
    return PRICES["metric"] * DAGSTER_METRICS + PRICES["alarm"] * DAGSTER_ALARMS


def dagster(*, arm: bool) -> float:
    """What Dagster on ECS adds, USD a month."""
    return services(arm=arm) + database() + watching() + PRICES["secret"] * 1


def table() -> str:
    """The costs as Markdown."""
    lines = [
        "| part | idle month | on `arm64` | busy month | on `arm64` | assumption |",
        "|---|---:|---:|---:|---:|---|",
    ]
    columns = [(month, arm) for month in (IDLE, BUSY) for arm in (False, True)]

    def rows(of: list[list[tuple[str, float, str]]], decimals: int) -> Iterator[str]:
        for row in zip(*of, strict=True):
            costs = " | ".join(f"{cost:.{decimals}f}" for _, cost, _ in row)
            yield f"| {row[0][0]} | {costs} | {row[0][2]} |"

    sums = [list(parts(month, arm=arm)) for month, arm in columns]
    lines += rows(sums, 2)
    total = [sum(cost for _, cost, _ in each) for each in sums]
    lines.append(_bold("sum, Dagster elsewhere", total))
    lines += rows([list(extras(month, arm=arm)) for month, arm in columns], 0)
    adds = [dagster(arm=arm) + addresses() for _, arm in columns]
    whole = [each + more for each, more in zip(total, adds, strict=True)]
    lines.append(_bold("sum with `dagster=true`, `network=public`", whole))
    return "\n".join(lines) + "\n"


def _bold(name: str, costs: list[float]) -> str:
    return (
        "| " + " | ".join(f"**{each}**" for each in (name, *(f"{c:.2f}" for c in costs))) + " | |"
    )


def sources() -> str:
    """The prices as Markdown."""
    lines = ["| price | USD | source | date |", "|---|---:|---|---|"]
    for price in PRICES.values():
        usd = f"{price.usd * 1e6:g} per million" if price.usd < 0.001 else f"{price.usd:g}"
        lines.append(f"| {price.unit} | {usd} | {price.source} | {price.read} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table() + "\n" + sources())
