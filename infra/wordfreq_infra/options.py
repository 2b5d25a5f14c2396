"""What can be chosen at deploy time, validated. Every default is the cheap and safe choice."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
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
TYPES = ("string", "number", "binary")
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
        max_vcpus: the most vCPUs at once, for each of the two compute environments.
        image: `asset` (built at deploy, needs docker), or the URI of an image, best with a digest.
        source: `s3://bucket/prefix` of texts that exist already; empty: a bucket is made.
        csv_columns: the columns of the CSVs, in any order; a number as `NAME:number`.
        csv_key, csv_sort_key: the columns that are the table's keys, chosen at the first deploy:
            DynamoDB can't change them afterwards.
        csv_time_index: whether the table has the index `LastModified` (by file name, then time).
        csv_removed: `mirror` lets the ingest stage delete items whose uploads are gone.
        fair_share: whether the queue shares by the setting `share_identifier` instead of first come
            first served; each job then needs one.
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
        if self.max_vcpus < 1:
            raise OptionsError(f"max_vcpus is {self.max_vcpus}; use 1 or more")
        if self.log_days not in (1, 3, 5, 7, 14, 30, 60, 90, 120, 180, 365):
            raise OptionsError(
                f"log_days is {self.log_days}; CloudWatch knows 1, 3, 7, 30, 90, 365"
            )
        if self.source and not re.fullmatch(r"s3://[a-z0-9.-]{3,63}(/.*)?", self.source):
            raise OptionsError(f"source is {self.source!r}; use s3://bucket/prefix")
        self._check_images()
        self._check_given()
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
        for column, kind in self.csv_types.items():
            if not column or kind not in TYPES:
                raise OptionsError(
                    f"csv_columns has {column}:{kind}; use NAME or NAME:TYPE, the types are "
                    + ", ".join(TYPES)
                )
        for option in ("csv_key", "csv_sort_key"):
            given = getattr(self, option)
            if given not in self.csv_types and (given or option == "csv_key"):
                raise OptionsError(
                    f"{option} is {given!r}; use one of csv_columns: {', '.join(self.csv_types)}"
                )
        if self.email and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", self.email):
            raise OptionsError(f"email is {self.email!r}; use an address")

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
            ("cidr", r"(\d{1,3}\.){3}0/1[6-8]", "10.42.0.0/16, from /16 to /18"),
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
            try:
                ipaddress.IPv4Network(one)
            except ValueError as error:
                raise OptionsError(
                    f"ui_cidr has {one!r} ({error}); use ranges, such as "
                    "203.0.113.0/24,198.51.100.7/32"
                ) from None

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
        """The columns of the CSVs, each with its type: `string` or `number`."""
        parted = (column.partition(":") for column in self.csv_columns.split(","))
        return {name.strip(): kind.strip() or "string" for name, _, kind in parted}


def from_context(scope: Construct) -> Options:
    """The options of a CDK app: context first, then the environment, then the defaults."""
    return _from(scope.node.try_get_context)


def from_words(words: Iterable[str]) -> Options:
    """The options of a command line, `NAME=VALUE` each; then the environment, then the defaults."""
    given = dict(word.split("=", 1) for word in words if "=" in word)
    return _from(given.get)


def _from(find: Callable[[str], object]) -> Options:
    given: dict[str, object] = {}
    for field in dataclasses.fields(Options):
        value = find(field.name)
        if value is None:
            value = os.environ.get(f"WORDFREQ_INFRA_{field.name.upper()}") or None
        if value is not None:
            given[field.name] = _typed(field.name, str(value), type(field.default))
    return Options(**given)  # type: ignore[arg-type]


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
