"""The command line as CI uses it: whole commands, their exit codes and what they leave."""

import gzip
import json
import signal

import boto3

from tests.waiting import until

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


def test_dg_launches_all_of_it_one_partition_and_a_ranking_on_its_own(home):
    (home.source / "a b.txt").write_text(TEXT)
    (home.source / "c.txt").write_text(TEXT)
    assert home.run(*DG).returncode == 0
    assert home.figures["files counted"] == 2
    (home.source / "a b.txt").write_text(TEXT * 2)
    counted = home.run("dg", "launch", "--assets", "word_counts", "--partition", "a b.txt")
    assert counted.returncode == 0, counted.stderr[-3000:]
    assert home.run("dg", "launch", "--assets", "ranking").returncode == 0
    once = RANKING | {"cat": 2, "dog": 2, "bird": 1, "both": 1}
    assert home.ranking == {word: 3 * count for word, count in once.items()}
    unknown = home.run("dg", "launch", "--assets", "word_counts", "--partition", "no such file")
    assert unknown.returncode != 0
    fails_for_a_broken_file(home, DG)


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
