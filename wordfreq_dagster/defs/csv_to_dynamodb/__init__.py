"""The pipeline that loads every uploaded CSV into DynamoDB."""
