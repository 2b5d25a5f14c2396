"""What can be chosen at deploy time, validated. Every default is the cheap and safe choice."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from constructs import Construct

Network = Literal["public", "nat", "isolated"]
Compute = Literal["ec2", "fargate"]
Architecture = Literal["x86_64", "arm64"]
Removed = Literal["keep", "mirror"]
CHOICES = {
    "network": ("public", "nat", "isolated"),
    "compute": ("ec2", "fargate"),
    "architecture": ("x86_64", "arm64"),
    "csv_removed": ("keep", "mirror"),
}
_VERSION = r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?"
    r"/(?P<repository>[a-z0-9][a-z0-9._/-]*)" + _VERSION
)
OTHER_IMAGE = re.compile(r"(?:[A-Za-z0-9.-]+(?::\d+)?/)?[a-z0-9][a-z0-9._/-]*" + _VERSION)
#: The keys of the secret `ui_login`: OIDC's own names, and those of the client.
LOGIN = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "client_id",
    "client_secret",
)
#: The types of columns, as the container knows them: names, and DynamoDB's letters.
TYPES = (
    *("string", "number", "binary", "bool", "null", "list", "map", "json"),
    *("string-set", "number-set", "binary-set"),
    *("S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"),
)
#: The types that keys can have, by their letters.
KEY_TYPES = {"S": "string", "N": "number", "B": "binary"}
#: Attributes that every item gets besides its columns.
ADDED = ("Filename", "LastModified")
#: What CloudWatch can keep logs for: days, and the CDK's name for it.
LOG_DAYS = {
    1: "ONE_DAY", 3: "THREE_DAYS", 5: "FIVE_DAYS", 7: "ONE_WEEK", 14: "TWO_WEEKS",
    30: "ONE_MONTH", 60: "TWO_MONTHS", 90: "THREE_MONTHS", 120: "FOUR_MONTHS",
    180: "SIX_MONTHS", 365: "ONE_YEAR",
}  # fmt: skip
PREFIX = "WORDFREQ_INFRA_"
#: Variables with that beginning that are no options: of cdk.json and of the tests.
OTHERS = ("python", "pairs", "write")
# Families are named by letters, generation and attributes, of which g is Graviton; a1 is one too.
GRAVITON = re.compile(r"a1|[a-z]+\d+[a-z]*g[a-z]*")


class OptionsError(ValueError):
    """An option can't be used; the message names it and what it must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options, each `-c <name>=<value>` of cdk or the variable WORDFREQ_INFRA_<NAME>.

    Attributes:
        name: the beginning of every name; one account can hold several deployments.
        network: `public` (no NAT gateway, containers have public addresses and no open port),
            `nat` (private subnets and one NAT gateway), `isolated` (endpoints only).
        compute: `ec2` (Spot first, on-demand behind it) or `fargate` (Fargate Spot first).
        architecture: `x86_64` or `arm64` (Graviton): hosts, Fargate and the images that are built.
        instance_families: the hosts with `ec2`, such as `m7i,c7i`; empty: AWS Batch's own choice
            of what the Region has.
        max_vcpus: the most vCPUs at once (2 or more), for each of the two compute environments.
        image: `asset` (built at deploy, needs docker), or the URI of an image, best with a digest.
        source: `s3://bucket/prefix` of texts that exist already; empty: a bucket is made.
        csv_columns: the columns of the CSVs, in any order; a number as `NAME:number`.
        csv_key, csv_sort_key: the columns that are the table's keys, chosen at the first deploy:
            DynamoDB can't change them afterwards.
        csv_time_index: whether the table has the index `LastModified` (by file name, then time).
        csv_removed: `mirror` lets the ingest stage delete items whose uploads are gone.
        fair_share: whether the queue shares by the setting `share_identifier` (by default the name)
            instead of first come first served.
        vpc, subnets: an existing VPC and at least two of its subnets, each in a zone of its own;
            its routes, NAT gateways and endpoints are yours. Empty: a VPC is made.
        cidr, zones: the range and the availability zones (2 to 4) of the VPC that is made.
        kms_key: ARN of the key of buckets, table and database; empty: AWS's own keys.
        source_kms_key: ARN of the key that the objects of a given `source` are encrypted with.
        permissions_boundary: ARN of a policy that every role gets as its boundary.
        tags: `key=value,key=value` for everything that can have them, besides `project`.
        keep_data: whether buckets and table survive `cdk destroy`.
        budget: USD a month at which mails go to `email`; 0: no budget.
        email: who is notified of failures, blocked queues and cost.
        log_days: how long logs are kept.
        dagster: whether Dagster itself runs on ECS Fargate too.
        dagster_image: as `image`, for Dagster.
        dagster_read_only: whether Dagster's UI only shows; runs start by sensors and commands.
        ui_certificate, ui_login, ui_cidr: a load balancer with a login by OIDC before Dagster's UI:
            the ARN of its certificate, name or ARN of the secret with the identity provider's
            endpoints and client, and the ranges that may reach it. Empty: the tunnel only.
    """

    name: str = "wordfreq"
    network: Network = "public"
    compute: Compute = "ec2"
    architecture: Architecture = "x86_64"
    instance_families: str = ""
    max_vcpus: int = 64
    image: str = "asset"
    source: str = ""
    csv_columns: str = "ProductId,ProductName,ProductDescription"
    csv_key: str = "ProductId"
    csv_sort_key: str = ""
    csv_time_index: bool = False
    csv_removed: Removed = "keep"
    fair_share: bool = False
    vpc: str = ""
    subnets: str = ""
    cidr: str = "10.42.0.0/16"
    zones: int = 2
    kms_key: str = ""
    source_kms_key: str = ""
    permissions_boundary: str = ""
    tags: str = ""
    keep_data: bool = True
    budget: int = 50
    email: str = ""
    log_days: int = 30
    dagster: bool = False
    dagster_image: str = "asset"
    dagster_read_only: bool = False
    ui_certificate: str = ""
    ui_login: str = ""
    ui_cidr: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,18}[a-z0-9]", self.name):
            raise OptionsError(
                f"name is {self.name!r}; use 2 to 20 of a-z, 0-9 and -, beginning with a letter"
            )
        for option, allowed in CHOICES.items():
            if getattr(self, option) not in allowed:
                given = getattr(self, option)
                raise OptionsError(f"{option} is {given!r}; use one of {', '.join(allowed)}")
        if self.max_vcpus < 2:
            raise OptionsError(f"max_vcpus is {self.max_vcpus}; use 2 or more: merging takes 2")
        if self.log_days not in LOG_DAYS:
            days = ", ".join(map(str, LOG_DAYS))
            raise OptionsError(f"log_days is {self.log_days}; CloudWatch knows {days}")
        # Policies would take the others of S3's characters for patterns and variables.
        if self.source and not re.fullmatch(r"s3://[a-z0-9.-]{3,63}(/[^*?$]*)?", self.source):
            raise OptionsError(f"source is {self.source!r}; use s3://bucket/prefix without * ? $")
        self._check_images()
        self._check_given()
        self._check_csv()
        chosen = self.chosen()
        for option, other in (("instance_families", "compute"), ("cidr", "vpc"), ("zones", "vpc")):
            if option in chosen and other in chosen:
                raise OptionsError(
                    f"{option} is of no use with {other}={chosen[other]}; leave one out"
                )
        if not re.fullmatch(r"(?:[a-z][a-z0-9-]*(?:,[a-z][a-z0-9-]*)*)?", self.instance_families):
            raise OptionsError(
                f"instance_families is {self.instance_families!r}; use families, such as m7i,c7i"
            )
        for family in filter(None, self.instance_families.split(",")):
            if bool(GRAVITON.fullmatch(family)) != (self.architecture == "arm64"):
                raise OptionsError(
                    f"instance_families has {family}, which isn't {self.architecture}; hosts and "
                    "images are of one architecture: give families of it, such as "
                    + ("m7g,c7g" if self.architecture == "arm64" else "m7i,c7i")
                    + ", or another architecture"
                )
        if self.email and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", self.email):
            raise OptionsError(f"email is {self.email!r}; use an address")

    def _check_csv(self) -> None:
        columns = [name for name, _ in self._columns()]
        for column, kind in self._columns():
            if not column or kind not in TYPES:
                raise OptionsError(
                    f"csv_columns has {column}:{kind}; use NAME or NAME:TYPE, the types are "
                    + ", ".join(TYPES)
                )
            if columns.count(column) > 1 or column in ADDED:
                raise OptionsError(
                    f"csv_columns has {column}, which items have already; name each column once, "
                    f"and none of {', '.join(ADDED)}"
                )
        keys = [name for name, kind in self.csv_types.items() if kind in KEY_TYPES.values()]
        for option in ("csv_key", "csv_sort_key"):
            given = getattr(self, option)
            if given not in keys and (given or option == "csv_key"):
                raise OptionsError(
                    f"{option} is {given!r}; use one of csv_columns that is a "
                    f"{', '.join(KEY_TYPES.values())}: {', '.join(keys)}"
                )
        if self.csv_sort_key == self.csv_key:
            raise OptionsError(f"csv_sort_key is csv_key, {self.csv_key!r}; use another column")

    def _check_images(self) -> None:
        for option in ("image", "dagster_image"):
            uri = getattr(self, option)
            if ECR_IMAGE.fullmatch(uri) or uri == "asset":
                continue
            if ".ecr." in uri.partition("/")[0] or not OTHER_IMAGE.fullmatch(uri):
                raise OptionsError(
                    f"{option} is {uri!r}; use `asset`, or REGISTRY/NAME:TAG@sha256:DIGEST with "
                    "tag, digest or both; of ECR <account>.dkr.ecr.<region>.amazonaws.com/NAME:TAG"
                )
            if self.network == "isolated":
                raise OptionsError(
                    f"{option} is {uri!r}, which an isolated network can't pull; "
                    "push it to ECR in the same Region and give that URI"
                )

    def _check_given(self) -> None:
        for option, form, example in (
            ("vpc", r"vpc-[0-9a-f]+", "vpc-0123456789abcdef0"),
            ("subnets", r"subnet-[0-9a-f]+(,subnet-[0-9a-f]+)+", "subnet-0a1,subnet-0b2"),
            ("kms_key", r"arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key/[\w-]+", "the ARN of a key"),
            ("source_kms_key", r"arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key/[\w-]+", "such an ARN"),
            (
                "permissions_boundary",
                r"arn:[a-z-]+:iam::(\d{12}|aws):policy/[\w+=,.@/-]+",
                "the ARN of a policy",
            ),
            (
                "ui_certificate",
                r"arn:[a-z-]+:acm:[a-z0-9-]+:\d{12}:certificate/[\w-]+",
                "the ARN of a certificate of ACM in the Region of the deployment",
            ),
            (
                "ui_login",
                r"(arn:[a-z-]+:secretsmanager:[a-z0-9-]+:\d{12}:secret:)?[\w/+=.@-]+",
                "the name or ARN of a secret of Secrets Manager",
            ),
            ("tags", r"[^=,]+=[^=,]*(,[^=,]+=[^=,]*)*", "team=data,cost-center=42"),
        ):
            given = getattr(self, option)
            if given and not re.fullmatch(form, given):
                raise OptionsError(f"{option} is {given!r}; use {example}")
        if not 16 <= _range("cidr", self.cidr, "10.42.0.0/16").prefixlen <= 18:
            raise OptionsError(f"cidr is {self.cidr!r}; use 10.42.0.0/16, from /16 to /18")
        names = [one.partition("=")[0] for one in self.tags.split(",")]
        if "project" in names or len(set(names)) < len(names):
            raise OptionsError(
                f"tags is {self.tags!r}; name each once, and not project: its value is the name"
            )
        if bool(self.vpc) != bool(self.subnets):
            raise OptionsError("vpc and subnets belong together; give both or neither")
        if not 2 <= self.zones <= 4:
            raise OptionsError(f"zones is {self.zones}; use 2 to 4")
        if self.source_kms_key and not self.source:
            raise OptionsError("source_kms_key is of a given source; give source too, or kms_key")
        self._check_ui()

    def _check_ui(self) -> None:
        given = [bool(one) for one in (self.ui_certificate, self.ui_login, self.ui_cidr)]
        if not any(given):
            return
        if not all(given):
            raise OptionsError(
                "ui_certificate, ui_login and ui_cidr belong together; give all or none"
            )
        if not self.dagster:
            raise OptionsError("ui_certificate is of Dagster's UI; give dagster=true too")
        if self.network == "isolated":
            raise OptionsError(
                "ui_certificate: in an isolated network nobody reaches a load balancer, nor it the "
                "identity provider; leave ui_* out and use the tunnel, or take network=nat"
            )
        for one in self.ui_cidr.split(","):
            _range("ui_cidr", one, "203.0.113.0/24,198.51.100.7/32")

    def chosen(self) -> dict[str, object]:
        """The options that aren't at their default."""
        return {
            field.name: value
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        }

    @property
    def all_tags(self) -> Mapping[str, str]:
        """The given tags and `project`, by which the budget and the operator's policy go."""
        return dict(one.split("=", 1) for one in self.tags.split(",") if one) | {
            "project": self.name
        }

    @property
    def csv_types(self) -> Mapping[str, str]:
        """The columns of the CSVs, each with its type; the types of keys by their names."""
        return {name: KEY_TYPES.get(kind, kind) for name, kind in self._columns()}

    def _columns(self) -> list[tuple[str, str]]:
        parted = (column.partition(":") for column in self.csv_columns.split(","))
        return [(name.strip(), kind.strip() or "string") for name, _, kind in parted]


def from_context(scope: Construct) -> Options:
    """The options of a CDK app: context first, then the environment, then the defaults."""
    # Its other context has names with `@`, `:` or `-`: feature flags, and what cdk looked up.
    context = scope.node.get_all_context()
    return _from({name: value for name, value in context.items() if name.isidentifier()})


def from_words(words: Iterable[str]) -> Options:
    """The options of a command line, `NAME=VALUE` each; then the environment, then the defaults."""
    return _from({name: value for name, _, value in (word.partition("=") for word in words)})


def deployed(chosen: Mapping[str, object]) -> Options:
    """Options of a former deploy: unchecked, for what isn't allowed any more can be changed too."""
    old = object.__new__(Options)
    for field in dataclasses.fields(Options):
        object.__setattr__(old, field.name, chosen.get(field.name, field.default))
    return old


def _from(words: Mapping[str, object]) -> Options:
    fields = {field.name: type(field.default) for field in dataclasses.fields(Options)}
    variables = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in os.environ.items()
        if name.startswith(PREFIX) and value
    }
    found = {name: value for name, value in variables.items() if name not in OTHERS} | {**words}
    for name in found:
        if name not in fields:
            (near,) = get_close_matches(name, fields, 1, 0)
            raise OptionsError(f"{name} is no option; do you mean {near}?")
    return Options(**{n: _typed(n, str(v), fields[n]) for n, v in found.items()})  # type: ignore[arg-type]


def _range(option: str, text: str, example: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise OptionsError(
            f"{option} has {text!r} ({error}); use ranges, such as {example}"
        ) from None


def _typed(name: str, text: str, kind: type) -> object:
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise OptionsError(f"{name} is {text!r}; use true or false")
        return text.lower() == "true"
    if kind is int:
        if not text.isdecimal():
            raise OptionsError(f"{name} is {text!r}; use a whole number")
        return int(text)
    return text
