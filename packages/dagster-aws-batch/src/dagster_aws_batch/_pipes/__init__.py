"""Dagster Pipes on AWS Batch: for containers of users that speak it."""
