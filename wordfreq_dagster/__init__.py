"""The most used words of an S3 bucket: a Dagster project whose stages run on AWS Batch.

Start at `definitions`. The AWS Batch client is `wordfreq_dagster.batch`; the embedded AWS Batch for
laptops and tests is `wordfreq_dagster.batch_emulator`. Both can be used without the rest.
"""
