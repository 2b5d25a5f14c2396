"""The CDK app: `cdk deploy --all -c network=nat -c dagster=true …` (or `make deploy`).

Options (`wordfreq_infra.options` lists them) are context values or variables
`WORDFREQ_INFRA_<NAME>`.
"""

from __future__ import annotations

import aws_cdk as cdk
from wordfreq_infra.app import build
from wordfreq_infra.options import from_context

app = cdk.App()
build(app, from_context(app))
app.synth()
