"""What runs inside the AWS Batch container: plan, count and rank the words of many files."""

__version__ = "0.1.0"
