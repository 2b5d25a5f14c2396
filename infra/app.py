"""The CDK app: `cdk deploy --all -c network=nat -c dagster=true …` (or `make deploy`).

Options are context values or `WORDFREQ_INFRA_<NAME>` variables; `wordfreq_infra.options` lists them.
"""

from __future__ import annotations

import aws_cdk as cdk
from wordfreq_infra.app import build
from wordfreq_infra.nag import add_checks
from wordfreq_infra.options import from_context

app = cdk.App()
stacks = build(app, from_context(app))
add_checks(app, stacks)
app.synth()
