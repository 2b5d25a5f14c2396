"""Options of a deployment: what can't be meant is refused with what it must be."""

import sys

import aws_cdk as cdk
import pytest
from wordfreq_infra.options import Options, OptionsError, from_context, from_words

UI = {
    "dagster": True,
    "ui_certificate": "arn:aws:acm:us-east-1:111122223333:certificate/1111-2222",
    "ui_login": "wordfreq/login",
    "ui_cidr": "203.0.113.0/24",
}
VPC = {"vpc": "vpc-1", "subnets": "subnet-1,subnet-2"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"name": "Word Freq"}, "name"),
        ({"network": "private"}, "public, nat, isolated"),
        ({"compute": "lambda"}, "ec2, fargate"),
        ({"max_vcpus": 1}, "2 or more"),
        ({"log_days": 2}, "CloudWatch knows 1, 3, 5, 7, 14, 30,"),
        ({"source": "books"}, "s3://bucket/prefix"),
        ({"source": "s3://books/en*"}, "without \\* "),
        ({"email": "me"}, "address"),
        ({"email": "a@"}, "address"),
        ({"architecture": "riscv"}, "x86_64, arm64"),
        ({"instance_families": "m7i;c7i"}, "such as m7i,c7i"),
        ({"instance_families": "m7i,g5g"}, "g5g, which isn't x86_64"),
        ({"instance_families": "m7g,g5", "architecture": "arm64"}, "g5, which isn't arm64"),
        ({"vpc": "vpc-12345678"}, "belong together"),
        ({"vpc": "vpc-12345678", "subnets": "subnet-1"}, "subnet-0a1,subnet-0b2"),
        ({"cidr": "10.0.0.0/24"}, "10.42.0.0/16"),
        ({"cidr": "10.0.1.0/16"}, "host bits set.*10.42.0.0/16"),
        ({"cidr": "999.0.0.0/16"}, "10.42.0.0/16"),
        ({"cidr": ""}, "10.42.0.0/16"),
        (VPC | {"zones": 3}, "zones is of no use with vpc=vpc-1"),
        (VPC | {"cidr": "10.43.0.0/16"}, "cidr is of no use with vpc=vpc-1"),
        ({"compute": "fargate", "instance_families": "m7i"}, "of no use with compute=fargate"),
        ({"zones": 1}, "2 to 4"),
        ({"kms_key": "alias/mine"}, "ARN of a key"),
        ({"permissions_boundary": "mine"}, "ARN of a policy"),
        ({"tags": "team"}, "team=data"),
        ({"tags": "team=a,team=b"}, "each once"),
        ({"tags": "team=a,project=b"}, "not project"),
        ({"source_kms_key": "arn:aws:kms:us-east-1:111122223333:key/1"}, "given source"),
        ({"csv_columns": "B:foo"}, "string, number, binary"),
        ({"image": "1.dkr.ecr.eu-central-1.amazonaws.com/w:1"}, "<account>.dkr.ecr"),
        ({"image": "w:1@sha256:12"}, "tag, digest or both"),
        ({"image": "docker.io/me/w:1", "network": "isolated"}, "can't pull"),
        (UI | {"ui_cidr": ""}, "belong together"),
        (UI | {"dagster": False}, "dagster=true"),
        (UI | {"network": "isolated"}, "use the tunnel"),
        (UI | {"ui_cidr": "203.0.113.9/24"}, "such as 203.0.113.0/24,"),
        (UI | {"ui_certificate": "mine"}, "ARN of a certificate"),
        (UI | {"ui_login": "my secret"}, "name or ARN of a secret"),
        ({"csv_key": "Sku"}, "one of csv_columns that is .* binary: ProductId"),
        ({"csv_sort_key": "Price"}, "one of csv_columns"),
        ({"csv_sort_key": "ProductId"}, "use another column"),
        ({"csv_columns": "A:bool,B", "csv_key": "A"}, "string, number, binary: B"),
        ({"csv_columns": "A,A:number", "csv_key": "A"}, "each column once"),
        ({"csv_columns": "A,LastModified", "csv_key": "A"}, "none of Filename, LastModified"),
    ],
)
def test_an_option_that_is_no_use_says_what_it_must_be(given, says):
    with pytest.raises(OptionsError, match=says):
        Options(**given)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("netwrok=nat", "netwrok is no option; do you mean network?"),
        ("dagster", "dagster is ''; use true or false"),
        ("max_vcpus=-1", "use a whole number"),
        ("max_vcpus=", "use a whole number"),
        ("network=", "use one of public, nat, isolated"),
    ],
)
def test_so_does_one_of_a_command_line_a_context_and_a_variable(words, says, monkeypatch):
    name, _, value = words.partition("=")
    with pytest.raises(OptionsError, match=says):
        from_words(words.split())
    with pytest.raises(OptionsError, match=says):
        from_context(cdk.App(context={name: value, "@aws-cdk/core:any": True, "vpc-provider:x": 1}))
    monkeypatch.setenv(f"WORDFREQ_INFRA_{name.upper()}", value or "?")
    with pytest.raises(OptionsError, match=f"^{name} is "):
        from_words([])


def test_each_way_to_give_an_option_gives_it_and_the_nearest_wins(monkeypatch):
    assert from_words(["network=nat", "max_vcpus=8"]) == Options(network="nat", max_vcpus=8)
    monkeypatch.setenv("WORDFREQ_INFRA_NETWORK", "isolated")
    monkeypatch.setenv("WORDFREQ_INFRA_PYTHON", sys.executable)  # of cdk.json
    monkeypatch.setenv("WORDFREQ_INFRA_ZONES", "")
    assert from_words(["dagster=true"]) == Options(network="isolated", dagster=True)
    assert from_context(cdk.App(context={"network": "nat"})) == Options(network="nat")
