"""What starts runs, orders them and reports failed ones, in a project whose work runs on AWS Batch.

`sqs_sensor` asks for a run when S3 says that objects have changed, `turns` lets runs on one place
follow each other, `alerts` reports failed runs to SNS or Slack. None of them needs `BatchJobs`.
"""

import math

from dagster_aws_batch._reaper import UNFINISHED as UNFINISHED


def check_number(name: str, value: object) -> None:
    """Refuse what is no number above 0 (NaN, infinite, a text), by the parameter's name."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ValueError(f"{name} is {value!r}; use a number above 0")
