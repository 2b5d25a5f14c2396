"""The command line as CI uses it: whole commands, their exit codes and what they leave."""

import gzip
import json
import signal

import boto3
import dagster as dg
import pytest

from dagster_aws_batch.automation.alerts import Channels, failure_sensor
from tests.e2e.conftest import fresh_home
from tests.waiting import until
from wordfreq_dagster.files.partitions import csv_uploads_partitions, source_files_partitions

TEXT = "The cat saw the dog. The dog saw the cat; the bird saw both.\n"
RANKING = {"the": 5, "saw": 3}
JOB = "word_frequency"
DG = ("dg", "launch", "--job", JOB)
DAGSTER = ("dagster", "job", "execute", "-m", "wordfreq_dagster.definitions", "-j", JOB)


def fails_for_a_broken_file(home, command):
    (home.source / "broken.txt.gz").write_bytes(gzip.compress(TEXT.encode())[:-9])
    failed = home.run(*command)
    assert failed.returncode == 1
    assert "broken.txt.gz" in failed.stderr + failed.stdout


def test_one_command_is_the_whole_pipeline(home):
    (home.source / "a.txt").write_text(TEXT)
    done = home.run(*DAGSTER)
    assert done.returncode == 0, done.stderr[-3000:]
    assert home.ranking == RANKING
    assert home.figures["files counted"] == 1
    fails_for_a_broken_file(home, DAGSTER)


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """A project whose two files `dg` has counted by one command."""
    with fresh_home(tmp_path_factory.mktemp("counted")) as home:
        (home.source / "a b.txt").write_text(TEXT)
        (home.source / "c.txt").write_text(TEXT)
        done = home.run(*DG)
        assert done.returncode == 0, done.stderr[-3000:]
        assert home.figures["files counted"] == 2
        yield home


def test_dg_launches_one_partition_and_a_ranking_on_its_own(counted):
    (counted.source / "a b.txt").write_text(TEXT * 2)
    one = counted.run("dg", "launch", "--assets", "word_counts", "--partition", "a b.txt")
    assert one.returncode == 0, one.stderr[-3000:]
    assert counted.run("dg", "launch", "--assets", "ranking").returncode == 0
    once = RANKING | {"cat": 2, "dog": 2, "bird": 1, "both": 1}
    assert counted.ranking == {word: 3 * count for word, count in once.items()}


def test_what_dg_can_not_count_is_its_exit_code(counted):
    unknown = counted.run("dg", "launch", "--assets", "word_counts", "--partition", "no such file")
    assert unknown.returncode != 0
    fails_for_a_broken_file(counted, DG)


def test_the_definitions_are_valid_by_both_tools(home):
    for command in (
        ("dg", "check", "defs"),
        ("dagster", "definitions", "validate", "-w", "workspace.yaml"),
    ):
        done = home.run(*command)
        assert done.returncode == 0, done.stderr
        for word in ("Warning", "Error", "deprecated"):
            assert word not in (done.stdout + done.stderr).replace("SupersessionWarning", "")


def test_a_bad_setting_is_one_error_that_names_the_variable(home):
    done = home.run(*DG, WORDFREQ_PACK="a lot")
    assert done.returncode != 0
    assert "WORDFREQ_PACK" in done.stderr + done.stdout


def test_on_a_real_s3_server(home, s3_server):
    client = s3_server.client()
    source, results = s3_server.bucket(), s3_server.bucket()
    names = ("a b.txt", "deep/ü.txt", "100%.txt", "a+b.txt", "x#y.txt", "[x].txt")
    for name in names:
        client.put_object(Bucket=source, Key=f"docs/{name}", Body=TEXT.encode())
    client.put_object(Bucket=source, Key="docs2/other.txt", Body=b"never never never")
    settings = s3_server.environment | {
        "WORDFREQ_SOURCE": f"s3://{source}/docs",
        "WORDFREQ_DESTINATION": f"s3://{results}/counts",
        "WORDFREQ_PLANS": f"s3://{results}/plans",
        "WORDFREQ_RANKING": f"s3://{results}/ranking",
    }
    done = home.run(*DG, **settings)
    assert done.returncode == 0, done.stderr[-3000:]
    written = client.get_object(Bucket=results, Key="ranking/ranking.json")["Body"].read()
    ranked = {entry["Word"]: entry["Count"] for entry in json.loads(written)["Words"]}
    assert ranked["the"] == 5 * len(names)
    assert "never" not in ranked


def test_a_terminated_run_is_completed_by_the_next_and_counts_nothing_twice(home):
    """As CI ends a command; SIGKILL at any moment is the part of the models."""
    files = 12
    for number in range(files):
        (home.source / f"{number:02}.txt").write_text(TEXT * 20_000)  # about a second of work each
    process = home.start(*DG, WORDFREQ_PACK="1MiB")
    for line in process.stdout:
        if "submitted array" in line:
            break
    until(lambda: list((home.folder / "plans").rglob("migrate-*.json")), what="a first receipt")
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    assert process.wait(timeout=60) != 0

    done = home.run(*DG)
    assert done.returncode == 0, done.stderr[-3000:]
    assert home.ranking["the"] == 5 * 20_000 * files
    assert len(list((home.folder / "output").glob("*.txt"))) == files
    assert _running_jobs(home) == []


def _running_jobs(home):
    endpoint = json.loads((home.folder / "batch" / "endpoint.json").read_text())
    client = boto3.client(
        "batch",
        endpoint_url=endpoint["url"],
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    return [
        job["jobName"]
        for status in ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
        for job in client.list_jobs(jobQueue="local", jobStatus=status)["jobSummaryList"]
    ]


@pytest.mark.parametrize("pipeline", ["word_frequency", "csv_to_dynamodb"])
def test_two_bad_files_of_two_hundred(home, ministack, webhook, pipeline):
    """The first run fails and names both: exit code, log, colours, alert. Later ones don't fail."""
    files = TwoHundred(home, ministack, pipeline)
    first = home.run("dg", "launch", "--job", pipeline, **files.settings)
    assert first.returncode == 1
    said = first.stdout + first.stderr
    assert "2 of 200 files could not be" in said
    for name, reason in files.bad.items():
        assert f"{name}: " in said
        assert reason in said
    with dg.DagsterInstance.from_config(home.environment["DAGSTER_HOME"]) as instance:
        assert files.colours(instance) == {"MATERIALIZED": files.good, "FAILED": {*files.bad}}
        url, alerts = webhook
        [run] = instance.get_runs()
        report_of(instance, run, url)
        assert all(name in alerts[0]["text"] for name in files.bad)

        files.write("later", good=True)
        command = ("dagster", "job", "execute", "-m", "wordfreq_dagster.definitions", "-j")
        later = home.run(*command, pipeline, **files.settings)
        assert later.returncode == 0, later.stderr[-3000:]
        assert files.colours(instance) == {"MATERIALIZED": files.good, "FAILED": {*files.bad}}


class TwoHundred:
    """198 good files of a pipeline and two bad ones: one damaged, one in another encoding."""

    def __init__(self, home, ministack, pipeline):
        self.words = pipeline == "word_frequency"
        self.folder = home.source if self.words else home.folder / "uploads"
        self.folder.mkdir(exist_ok=True)
        self.good, self.bad, self.settings = set(), {}, {}
        for number in range(200):
            self.write(f"{number:03}", good=number not in (50, 150))
        if not self.words:
            self.settings = ministack.environment | {
                "WORDFREQ_CSV_TABLE": ministack.table(),
                "WORDFREQ_CSV_ENDPOINT": ministack.url,
            }

    def write(self, name, *, good):
        head = "" if self.words else "ProductId,ProductName,ProductDescription\n"
        name += ".txt" if self.words else ".csv"
        data = f"{head}{name},The cat,saw the dog\n".encode()
        if good:
            self.good.add(name)
        elif self.bad:
            data = f"{head}é,Müller ärgert,Übermut früh Öl\n".encode("latin-1")
            self.bad[name] = "is not UTF-8"
        elif self.words:
            data = gzip.compress(data)[:-9]
            self.bad[name] = "is no intact gzip archive"
        else:
            data = f"{head}1,short\n".encode()
            self.bad[name] = "none of its 1 rows can be loaded"
        (self.folder / name).write_bytes(data)

    def colours(self, instance):
        asset, of = (
            ("word_counts", source_files_partitions)
            if self.words
            else ("csv_rows", csv_uploads_partitions)
        )
        keys = instance.get_dynamic_partitions(of.name)
        found = instance.get_status_by_partition(dg.AssetKey(asset), keys, of)
        shown = {}
        for key in keys:
            shown.setdefault(found[key].value, set()).add(key)
        return shown


def report_of(instance, run, url):
    """Let the sensor of alerts see that the run has failed."""
    sensor = failure_sensor(Channels(sns_topic="", slack_webhook=url, ui=""))
    (event,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    context = dg.build_run_status_sensor_context(
        sensor_name="failure_alerts",
        dagster_event=event.dagster_event,
        dagster_instance=instance,
        dagster_run=run,
    )
    sensor(context.for_run_failure())
