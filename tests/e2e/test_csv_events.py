"""An upload to S3 becomes items of a table by itself: S3, SQS, a real Dagster daemon, DynamoDB."""

import os
import signal
import socket
import subprocess
import threading

import pytest

from tests.waiting import answers, until

HEADER = "ProductId,ProductName,ProductDescription\n"


@pytest.fixture
def daemon(home, ministack, tmp_path):
    """A real UI with its daemon; the listing sensor is off, so that only messages start runs."""
    s3, sqs, dynamodb = (ministack.client(name) for name in ("s3", "sqs", "dynamodb"))
    bucket, table = ministack.bucket(), ministack.name("products")
    dynamodb.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "ProductId", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "ProductId", "AttributeType": "S"}],
    )
    queue = sqs.create_queue(QueueName=ministack.name("uploads"))["QueueUrl"]
    asked = {"QueueUrl": queue, "AttributeNames": ["QueueArn"]}
    arn = sqs.get_queue_attributes(**asked)["Attributes"]["QueueArn"]
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]
        },
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = ministack.environment | {
        "WORDFREQ_CSV_SOURCE": f"s3://{bucket}/in",
        "WORDFREQ_CSV_REJECTS": f"s3://{bucket}/rejects",
        "WORDFREQ_CSV_TABLE": table,
        "WORDFREQ_CSV_ENDPOINT": ministack.url,
        "WORDFREQ_CSV_EVENTS_QUEUE_URL": queue,
        "WORDFREQ_CSV_NEW_UPLOADS": "stopped",
        "WORDFREQ_AUTOMATION": "stopped",
        "WORDFREQ_EVENTS": "running",
        "WORDFREQ_SENSOR_SECONDS": "5",
    }
    process = home.start(
        *("dg", "dev", "-w", "workspace.yaml", "--host", "127.0.0.1", "--port", port), **settings
    )
    log = []
    threading.Thread(target=lambda: log.extend(process.stdout), daemon=True).start()

    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/server_info"), what=lambda: log)
        yield bucket, table
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_uploads_are_loaded_by_their_events(daemon, ministack):
    bucket, table = daemon
    s3, dynamodb = ministack.client("s3"), ministack.client("dynamodb")

    def items():
        found = dynamodb.scan(TableName=table)["Items"]
        return {item["ProductId"]["S"]: item["ProductName"]["S"] for item in found}

    # a key that arrives percent-encoded, and two uploads at once
    s3.put_object(Bucket=bucket, Key="in/my file+é.csv", Body=(HEADER + "1,one,x\n").encode())
    s3.put_object(Bucket=bucket, Key="in/b.csv", Body=(HEADER + '2,"two, 2",x\n').encode())
    s3.put_object(Bucket=bucket, Key="elsewhere/c.csv", Body=(HEADER + "3,no,x\n").encode())
    until(lambda: items() == {"1": "one", "2": "two, 2"}, seconds=180, what=items)

    s3.put_object(Bucket=bucket, Key="in/b.csv", Body=(HEADER + "2,new,x\n").encode())
    until(lambda: items() == {"1": "one", "2": "new"}, seconds=180, what=items)
