"""The checks of cdk-nag, and every finding we live with, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

#: Stack -> finding -> why it stays.
ACCEPTED: Mapping[str, Mapping[str, str]] = {}


def add_checks(app: cdk.App, stacks: Mapping[str, cdk.Stack]) -> AwsSolutionsChecks:
    """Let synth fail on any finding that isn't accepted."""
    for name, findings in ACCEPTED.items():
        if name in stacks:
            for rule, reason in findings.items():
                cdk.Validations.of(stacks[name]).acknowledge(
                    cdk.Acknowledgment(id=rule, reason=reason)
                )
    checks = AwsSolutionsChecks(app)
    cdk.Validations.of(app).add_plugins(checks)
    return checks
