"""What starts runs, orders them and reports failed ones, in a project whose work runs on AWS Batch.

`sqs_sensor` asks for a run when S3 says that objects have changed, `turns` lets runs on one place
follow each other, `alerts` reports failed runs to SNS or Slack. None of them needs `BatchJobs`.
"""

from dagster_aws_batch._reaper import UNFINISHED as UNFINISHED
