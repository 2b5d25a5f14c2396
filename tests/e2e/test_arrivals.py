"""Files that arrive while the real daemon runs: into a folder, and into S3 with events to SQS."""

import pytest

from tests.waiting import until

TEXT = "The cat saw the dog. The dog saw the cat; the bird saw both.\n" * 5
HEADER = "ProductId,ProductName,ProductDescription\n"


def test_a_file_dropped_into_the_folder_is_counted_and_ranked(ui_with, record_property):
    with ui_with(
        WORDFREQ_AUTOMATION="stopped", WORDFREQ_NEW_FILES="running", WORDFREQ_SENSOR_SECONDS="5"
    ) as ui:
        (ui.source / "dropped.txt").write_text(TEXT)
        until(lambda: ui.partitions()["green"] == {"dropped.txt"}, seconds=180)
        until(lambda: ui.latest("ranking"), seconds=180)
        before = ui.latest("ranking")

        (ui.source / "dropped.txt").write_text(TEXT * 2)
        until(lambda: ui.latest("ranking") != before, seconds=180)

        seen = ui.ticks("new_files")  # and then it is quiet
        until(lambda: ui.ticks("new_files") >= seen + 2, what="two more ticks of the sensor")
        runs = ui.query("{ runsOrError { ... on Runs { results { status } } } }")
        statuses = [run["status"] for run in runs["runsOrError"]["results"]]
        assert statuses == ["SUCCESS", "SUCCESS"]


class Cloud:
    """A UI on buckets whose events go to queues; only messages start runs there."""

    def __init__(self, ministack):
        self.ministack = ministack
        self.s3, self.sqs, self.dynamodb = map(ministack.client, ("s3", "sqs", "dynamodb"))
        self.texts, self.texts_queue = self.bucket()
        self.uploads, self.uploads_queue = self.bucket()
        self.table = ministack.table()

    def bucket(self):
        """A new bucket and the URL of the queue that gets its events."""
        bucket = self.ministack.bucket()
        url = self.sqs.create_queue(QueueName=self.ministack.name("arrivals"))["QueueUrl"]
        asked = {"QueueUrl": url, "AttributeNames": ["QueueArn"]}
        arn = self.sqs.get_queue_attributes(**asked)["Attributes"]["QueueArn"]
        events = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}
        self.s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [events]}
        )
        return bucket, url

    @property
    def settings(self):
        return self.ministack.environment | {
            "WORDFREQ_SOURCE": f"s3://{self.texts}/docs",
            "WORDFREQ_DESTINATION": f"s3://{self.texts}/output",
            "WORDFREQ_EVENTS_QUEUE_URL": self.texts_queue,
            "WORDFREQ_CSV_SOURCE": f"s3://{self.uploads}/in",
            "WORDFREQ_CSV_REJECTS": f"s3://{self.uploads}/rejects",
            "WORDFREQ_CSV_TABLE": self.table,
            "WORDFREQ_CSV_ENDPOINT": self.ministack.url,
            "WORDFREQ_CSV_EVENTS_QUEUE_URL": self.uploads_queue,
            "WORDFREQ_CSV_NEW_UPLOADS": "stopped",
            "WORDFREQ_AUTOMATION": "stopped",
            "WORDFREQ_EVENTS": "running",
            "WORDFREQ_SENSOR_SECONDS": "5",
        }

    def messages(self):
        """How many messages the queue of the texts has."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.texts_queue, AttributeNames=names)
        return sum(map(int, found["Attributes"].values()))

    def items(self):
        found = self.dynamodb.scan(TableName=self.table)["Items"]
        return {item["ProductId"]["S"]: item["ProductName"]["S"] for item in found}


@pytest.fixture(scope="module")
def cloud(ministack, ui_with):
    made = Cloud(ministack)
    with ui_with(**made.settings) as made.ui:
        yield made


def test_an_object_put_into_s3_is_counted_because_of_its_event(cloud):
    cloud.s3.put_object(Bucket=cloud.texts, Key="docs/a b+ü.txt", Body=TEXT.encode())
    until(lambda: cloud.ui.partitions()["green"] == {"a b+ü.txt"}, seconds=180)
    until(lambda: cloud.ui.latest("ranking"), seconds=180)
    until(lambda: not cloud.messages(), seconds=60)


def test_uploads_are_loaded_by_their_events(cloud):
    def upload(key, rows):
        cloud.s3.put_object(Bucket=cloud.uploads, Key=key, Body=(HEADER + rows).encode())

    # a key that arrives percent-encoded, and two uploads at once
    upload("in/my file+é.csv", "1,one,x\n")
    upload("in/b.csv", '2,"two, 2",x\n')
    upload("elsewhere/c.csv", "3,no,x\n")
    until(lambda: cloud.items() == {"1": "one", "2": "two, 2"}, seconds=180, what=cloud.items)

    upload("in/b.csv", "2,new,x\n")
    until(lambda: cloud.items() == {"1": "one", "2": "new"}, seconds=180, what=cloud.items)
