"""The most used words of an S3 bucket: a Dagster project whose stages run on AWS Batch.

Start at `definitions`. The AWS Batch client is `dagster_aws_batch`; the embedded AWS Batch for
laptops and tests is `aws_batch_emulator`. Both can be used without the rest.
"""
