"""One call of `BatchJobs.run`, from SubmitJob to the result; for `dagster_aws_batch` only."""
