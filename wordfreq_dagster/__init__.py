"""The most used words of an S3 bucket: a Dagster project whose stages run on AWS Batch.

Start at `definitions`. The AWS Batch client is `dagster_aws_batch`; the embedded AWS Batch for
laptops and tests is `aws_batch_emulator`. Both can be used without the rest.
"""

import warnings

import dagster as dg

# Used on purpose: backfill policies, source code references, observable sources. Their warnings,
# a dozen per command, would hide what a user has to read.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
