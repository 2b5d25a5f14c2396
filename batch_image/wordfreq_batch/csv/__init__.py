"""The stage `ingest`: load CSVs into DynamoDB."""
