"""What an earlier state of the project has written is still understood.

`kept-0.1.0.tar.xz` was made by it on a real S3 server, with counter version 1: two runs of the job,
the first with a damaged file (`docs/bad.txt.gz`, then removed), and `docs/gone.txt` removed after
both. It holds the bucket (sources, plans, receipts, counts, ledger, ranking), the Dagster instance
and the jobs of the embedded AWS Batch.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import boto3
import dagster as dg
import pytest

from aws_batch_emulator import ensure_running
from wordfreq_dagster.files.stages import LOCAL_IMAGES

KEPT = Path(__file__).with_name("kept-0.1.0.tar.xz")
FIRST = "s3://kept/plans/1f60e081-ae84-48c4-82a5-8a289b731f45-all.json"
LAST = "s3://kept/plans/6989688a-b716-417d-b9b3-7532ef321b1c-all.json"


@pytest.fixture
def kept(home, s3_server):
    """The home of before, with its bucket on the S3 server."""
    with tarfile.open(KEPT) as archive:
        archive.extractall(home.folder)
    client, bucket = s3_server.client(), home.folder / "bucket"
    client.create_bucket(Bucket="kept")
    for path in bucket.rglob("*"):
        if path.is_file():
            key = path.relative_to(bucket).as_posix()
            client.put_object(Bucket="kept", Key=key, Body=path.read_bytes())
    home.environment |= s3_server.environment | {
        "WORDFREQ_SOURCE": "s3://kept/docs",
        "WORDFREQ_DESTINATION": "s3://kept/counts",
        "WORDFREQ_PLANS": "s3://kept/plans",
        "WORDFREQ_RANKING": "s3://kept/ranking",
    }
    yield home
    for found in client.list_objects_v2(Bucket="kept")["Contents"]:
        client.delete_object(Bucket="kept", Key=found["Key"])
    client.delete_bucket(Bucket="kept")


def container(home, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "wordfreq_batch", *arguments],
        env=os.environ | home.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def words(ranking):
    return {word["Word"]: word["Count"] for word in json.loads(ranking)["Words"]}


def test_counts_of_before_are_read_and_plans_of_another_counter_say_what_to_do(kept, tmp_path):
    counts = ("-s", "s3://kept/counts", "--min-count", "1")
    merged = container(kept, "merge", *counts, "--output", str(tmp_path))
    assert merged.returncode == 0, merged.stderr
    found = words((tmp_path / "ranking.json").read_text())
    assert found == {"old": 3, "cat": 1, "dog": 1, "gone": 1}
    for stage in (("migrate", "-i", "0", "-p", FIRST), ("merge", "-p", LAST)):
        refused = container(kept, *stage)
        assert refused.returncode == 3
        assert re.search("was made for .*1/icu.*; plan (and count )?again", refused.stderr)


def test_a_run_goes_on_with_the_instance_and_the_jobs_of_before(kept, s3_server):
    def partitions():
        with dg.DagsterInstance.from_config(kept.environment["DAGSTER_HOME"]) as instance:
            return set(instance.get_dynamic_partitions("source_files"))

    assert partitions() == {"a.txt", "deep/b c+ü.txt", "gone.txt"}
    batch = boto3.client(
        "batch",
        endpoint_url=ensure_running(kept.folder / "batch", images=LOCAL_IMAGES).url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    ended = batch.list_jobs(jobQueue="local", jobStatus="SUCCEEDED")["jobSummaryList"]
    assert len(ended) == 3

    # everything is counted again, because the counter is another; then nothing is
    for counted in (2, 0):
        done = kept.run("dg", "launch", "--job", "word_frequency")
        assert done.returncode == 0, done.stderr[-3000:]
        assert kept.figures["files counted"] == counted
    assert partitions() == {"a.txt", "deep/b c+ü.txt"}
    stored = s3_server.client().get_object(Bucket="kept", Key="ranking/ranking.json")
    metadata = json.loads(stored["Body"].read())["Metadata"]
    assert (metadata["Files"], metadata["Words"], metadata["DistinctWords"]) == (2, 5, 3)
