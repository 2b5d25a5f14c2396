"""Files that arrive while the real daemon runs: into a folder, and into S3 with events to SQS."""

from tests.waiting import until

TEXT = "The cat saw the dog. The dog saw the cat; the bird saw both.\n" * 5


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


def test_an_object_put_into_s3_is_counted_because_of_its_event(ui_with, ministack):
    s3, sqs = ministack.client("s3"), ministack.client("sqs")
    bucket = ministack.bucket()
    queue = sqs.create_queue(QueueName=ministack.name("arrivals"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": arn["QueueArn"], "Events": ["s3:ObjectCreated:*"]}]
        },
    )
    with ui_with(
        **ministack.environment,
        WORDFREQ_SOURCE=f"s3://{bucket}/docs",
        WORDFREQ_DESTINATION=f"s3://{bucket}/output",
        WORDFREQ_EVENTS_QUEUE_URL=queue,
        WORDFREQ_AUTOMATION="stopped",
        WORDFREQ_EVENTS="running",
        WORDFREQ_SENSOR_SECONDS="5",
    ) as ui:
        s3.put_object(Bucket=bucket, Key="docs/a b+ü.txt", Body=TEXT.encode())
        until(lambda: ui.partitions()["green"] == {"a b+ü.txt"}, seconds=180)
        until(lambda: ui.latest("ranking"), seconds=180)
        number = "ApproximateNumberOfMessages"
        until(
            lambda: (
                not any(
                    int(n)
                    for n in sqs.get_queue_attributes(
                        QueueUrl=queue, AttributeNames=[number, number + "NotVisible"]
                    )["Attributes"].values()
                )
            ),
            seconds=60,
        )
