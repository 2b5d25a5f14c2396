"""A bucket's files as partitions: places, plans, reports, listing and SQS sensors."""
