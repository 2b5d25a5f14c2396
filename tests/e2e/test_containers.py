"""The image that AWS Batch runs, in real containers: alone, and as the whole pipeline on S3."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import dagster as dg
import pytest

from aws_batch_emulator import stop_running
from tests.instances import local_instance
from tests.waiting import until
from wordfreq_batch.text.words import SEMANTICS
from wordfreq_dagster.definitions import build_definitions
from wordfreq_dagster.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "localhost/wordfreq-test:1"
#: Without the right to raise limits, and with a hybrid of cgroups 1 and 2, podman needs these.
SETTINGS = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]
netns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
LOCKED = ["--rm", "--pull=never", "--read-only", "--tmpfs", "/tmp:mode=1777", "--cap-drop", "ALL"]
pytestmark = [pytest.mark.containers, pytest.mark.slow, pytest.mark.timeout(600)]


def podman(*arguments, check=True):
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, timeout=540)
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


def unavailable(reason):
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The image, built as `make image` does on a base made of this machine's Python."""
    if shutil.which("podman") is None:
        unavailable("podman is not installed")
    place = tmp_path_factory.mktemp("podman")
    (place / "containers.conf").write_text(SETTINGS)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    base = f"localhost/python-host:{version}"
    with pytest.MonkeyPatch.context() as patch:
        if shutil.which("runc"):
            patch.setenv("CONTAINERS_CONF", str(place / "containers.conf"))
        for name, compiler in ((base, ""), (f"{base}-gcc", "1")):
            if podman("image", "exists", name, check=False).returncode == 0:
                continue
            made = subprocess.run(
                [ROOT / "infra" / "host_base.sh", name],
                env={**os.environ, "PYTHON3": sys.executable, "ENGINE": "podman"}
                | ({"COMPILER": compiler} if compiler else {}),
                capture_output=True,
                text=True,
            )
            if made.returncode:
                unavailable(f"no base image can be made here: {made.stderr[-500:]}")
        tried = podman("run", *LOCKED, "--network=none", base, "python3", "-c", "1", check=False)
        if tried.returncode:
            unavailable(f"podman can't run containers here: {tried.stderr[-500:]}")
        podman("build", "--tag", IMAGE, "--timestamp=0", *trust(place, base), ROOT / "batch_image")
        yield IMAGE
        podman("rmi", "--force", IMAGE, check=False)


def trust(place, base):
    """Options of a build: its base, and the certificates this machine trusts, if it has its own."""
    options = ["--build-arg", f"BASE_IMAGE={base}", "--build-arg", f"BUILD_IMAGE={base}-gcc"]
    if own := os.environ.get("SSL_CERT_FILE"):
        (place / "pip.conf").write_text(f"[global]\ncert = {own}\n")
        options += [f"--volume={own}:{own}:ro", f"--volume={place}/pip.conf:/etc/pip.conf:ro"]
    return options


def test_the_image_is_small_labelled_and_runs_without_any_right(image):
    facts = json.loads(podman("image", "inspect", image).stdout)[0]
    assert facts["Config"]["User"] == "10001:10001"
    labels = {name.rpartition("image.")[2]: found for name, found in facts["Labels"].items()}
    assert labels["version"] == "0.1.0"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["base.name"].startswith("localhost/python-host:")
    base = json.loads(podman("image", "inspect", labels["base.name"]).stdout)[0]
    assert facts["Size"] - base["Size"] < 165e6  # 182 with the wheels' debugging symbols
    run = podman("run", *LOCKED, "--network=none", image, "--version")
    assert f"counter {SEMANTICS}/icu" in run.stdout
    assert "word engine: kernel" in run.stdout  # the counter in C was built in
    identity = podman("run", *LOCKED, "--network=none", "--entrypoint=id", image).stdout
    assert "uid=10001" in identity


def test_what_was_pinned_is_what_is_in_the_image(image):
    code = "import importlib.metadata as m; print(*(d.name + '==' + d.version for d in m.distributions()))"  # noqa: E501
    found = podman("run", *LOCKED, "--entrypoint=python", image, "-I", "-c", code).stdout
    there = found.replace("_", "-").split()
    pinned = (ROOT / "batch_image" / "requirements.txt").read_text()
    assert "wordfreq-batch==0.1.0" in there
    assert [one for one in there if one not in pinned and "wordfreq" not in one] == []


def test_sigterm_ends_the_first_process_of_a_container_at_once(image, tmp_path):
    (tmp_path / "in").mkdir()
    # Words that only a dictionary can tell apart: the counter in C would be through with others.
    (tmp_path / "in" / "big.txt").write_bytes(SENTENCES[3].encode() * 3_000_000)
    mount = ["--volume", f"{tmp_path}:{tmp_path}", "--user", f"{os.getuid()}:{os.getgid()}"]
    place = [f"--source={tmp_path}/in", f"--destination={tmp_path}/out"]
    podman("run", *LOCKED, *mount, image, "plan", *place, f"--plan={tmp_path}/plan.json")
    locked = [word for word in LOCKED if word != "--rm"]
    started = podman("run", "-d", *locked, *mount, image, "migrate", f"--plan={tmp_path}/plan.json",
                     "--index=0").stdout.strip()  # fmt: skip
    try:
        files = ("exec", started, "sh", "-c", "ls -l /proc/1/fd")
        until(lambda: "big.txt" in podman(*files, check=False).stdout, what="a file being read")
        begin = time.monotonic()
        podman("stop", "--time=25", started)
        seconds = time.monotonic() - begin
        code = podman("inspect", "--format={{.State.ExitCode}}", started).stdout.strip()
        assert (code, seconds < 10) == ("143", True), podman("logs", started).stderr
        assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []
    finally:
        podman("rm", "--force", "--volumes", started)


SENTENCES = (
    "The cat saw the dog and the dog saw the bird.",
    "Ein Vogel in der Hand ist besser als zwei auf dem Dach.",
    "Ничто так не украшает комнату, как детские рисунки.",
    "我们在北京大学学习语言和计算机。",
)


def texts(number, *, lines):
    """Files of different sizes and languages, some in folders, one with an odd name."""
    for index in range(number):
        name = f"part {index % 3}/file{index:03}.txt" if index else "ünï+code %20.txt"
        chosen = [SENTENCES[(index + line) % len(SENTENCES)] for line in range(lines + index)]
        yield name, f"file{index} ".encode() + "\n".join(chosen).encode()


class Pipeline:
    """The project on a source, with one of the runners; `run` gives the run's success."""

    def __init__(self, instance, settings):
        self.instance = instance
        self.settings = settings
        self.definitions = build_definitions(settings)

    def run(self):
        job = self.definitions.resolve_job_def("word_frequency")
        return job.execute_in_process(instance=self.instance, raise_on_error=False).success

    def figures(self, asset="word_counts"):
        event = self.instance.get_latest_materialization_event(dg.AssetKey(asset))
        return {key: value.value for key, value in event.asset_materialization.metadata.items()}


@pytest.fixture
def pipeline():
    made = []
    with local_instance() as instance:

        def make(**settings):
            made.append(Pipeline(instance, Settings(**settings)))
            return made[-1]

        yield make
        for one in made:
            stop_running(one.settings.local_folder)


def local_result(pipeline, home, files):
    """The ranking's words and every counts object, from processes and folders of this machine."""
    for name, content in files:
        path = home / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert pipeline(home=str(home)).run()
    counted = {
        path.relative_to(home / "output").as_posix(): path.read_bytes()
        for path in (home / "output").rglob("*")
        if path.is_file() and ".wordfreq" not in path.parts
    }
    return json.loads((home / "ranking" / "ranking.json").read_text())["Words"], counted


def s3_result(client, bucket):
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="output/")
    keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
    counted = {
        key.removeprefix("output/"): client.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in keys
        if not key.startswith("output/.wordfreq/")
    }
    ranking = client.get_object(Bucket=bucket, Key="ranking/ranking.json")["Body"].read()
    return json.loads(ranking)["Words"], counted


@pytest.fixture
def both(image, s3_server, pipeline, tmp_path, monkeypatch):
    """The same files counted here, and ready to be counted in containers on S3.

    Gives what the local run gave, that project, and a function that reads what it gives.
    """

    def make(files, *, pack):
        expected = local_result(pipeline, tmp_path / "local", files)
        for name, value in s3_server.environment.items():
            monkeypatch.setenv(name, value)
        client, bucket = s3_server.client(), s3_server.bucket()
        for name, content in files:
            client.put_object(Bucket=bucket, Key=f"source/{name}", Body=content)
        project = pipeline(
            home=str(tmp_path / "cloud"),
            **{name: f"s3://{bucket}/{name}" for name in ("source", "plans", "ranking")},
            destination=f"s3://{bucket}/output",
            pack=pack,
            local_runner="container",
            image=IMAGE,
        )
        return expected, project, lambda: s3_result(client, bucket)

    return make


def test_the_pipeline_in_containers_on_s3_gives_what_it_gives_on_folders(both):
    files = list(texts(5, lines=400))
    expected, project, result = both(files, pack=32 << 10)
    begin = time.monotonic()
    assert project.run()
    figures = project.figures()
    print(f"{len(files)} files, {figures} in {time.monotonic() - begin:.1f} s")
    assert result() == expected
    assert figures["files counted"] == 5


def kill_one_migrate(killed, stop):
    """Kill -9 the first container that counts words, from outside, as soon as it runs."""
    form = "{{.ID}} {{.Command}} {{.Names}}"
    while not stop.wait(0.2) and not killed:
        for line in podman("ps", "--no-trunc", "--format", form).stdout.splitlines():
            if "migrate" in line and " batch-" in line:
                done = podman("kill", "--signal=KILL", line.split()[0], check=False)
                if done.returncode == 0:
                    killed.append(line)
                    return


def test_a_container_killed_in_the_middle_runs_again_and_nothing_is_lost_or_doubled(both):
    expected, project, result = both(list(texts(3, lines=2_000)), pack=64 << 10)
    killed, stop = [], threading.Event()
    killer = threading.Thread(target=kill_one_migrate, args=(killed, stop))
    killer.start()
    try:
        assert project.run()
    finally:
        stop.set()
        killer.join()
    assert len(killed) == 1
    assert result() == expected
    # 137 without a word about memory: that task alone ran once more, as it was.
    figures = project.figures()
    print(figures)
    assert (figures["batch/rounds"], figures["batch/failed"]) == (2, 0)
