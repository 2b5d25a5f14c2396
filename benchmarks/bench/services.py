"""The cases around the counting: reading from S3, a container's and a job's fixed costs, plans."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bench.counting import migrate
from benchmarks.bench.measure import Case, DisagreementError
from benchmarks.bench.s3_server import BUCKET, TASK, TASK_FILES, S3Server
from benchmarks.bench.workshop import PEERS, ROOT, Workshop, clear
from benchmarks.pipeline import STORES

_FEW = 1000  # files: with fewer, stores can't be told apart


def cases(shop: Workshop, server: S3Server) -> Iterator[Case]:
    """All of them."""
    yield from _s3(shop, server)
    yield from _fixed(shop, server)
    yield from _plans(shop)


def _printed(shop: Workshop) -> str:
    return (shop.work / "output").read_text()


def _s3(shop: Workshop, server: S3Server) -> Iterator[Case]:
    sizes = shop.corpora.sizes
    small = sorted(shop.corpora.small().rglob("*.txt"))[: sizes.s3_small]
    for prefix, size in (
        ("large", min(sizes.s3_object, sizes.huge)),
        ("small", sum(path.stat().st_size for path in small)),
    ):
        for client in ("ours", "boto3", "obstore"):
            yield Case(
                key=f"s3/{prefix}/{client}/1",
                command=[
                    str(shop.python),
                    str(PEERS / "read_s3.py"),
                    client,
                    BUCKET,
                    f"{prefix}/",
                ],
                size=size,
                environment=server.environment,
                prepare=server.start,
                check=partial(_read_all, shop, size),
            )
    key = "s3/large/migrate/2"
    plan = shop.place(key) / "plan.json"
    source = f"s3://{BUCKET}/large/"

    def prepare() -> None:
        server.start()
        clear(shop.place(key))
        command = shop.wordfreq("plan", "-s", source, "-d", plan.parent / "counts", "-p", plan)
        subprocess.run(
            command, check=True, capture_output=True, env={"PATH": "/usr/bin", **server.environment}
        )

    yield Case(
        key=key,
        command=shop.wordfreq("migrate", "-p", plan, "-i", "0", *shop.threads(2)),
        size=min(sizes.s3_object, sizes.huge),
        environment=server.environment,
        prepare=prepare,
        memory=shop.memory,
    )
    yield Case(
        key="s3/list/ours/1",
        command=[
            str(shop.python),
            "-c",
            "from wordfreq_batch.storage.opening import open_store\n"
            f"print(sum(1 for _ in open_store('s3://{BUCKET}/small/').list()))",
        ],
        size=len(small),
        environment=server.environment,
        prepare=server.start,
    )


def _read_all(shop: Workshop, size: int) -> dict[str, Any]:
    read = int(_printed(shop).split()[-1])
    # The large object may be a little shorter: the corpus is cut at a blank.
    if not size - 64 <= read <= size:
        raise DisagreementError(f"{read:,} bytes were read, not {size:,}")
    return {"bytes": read}


def _fixed(shop: Workshop, server: S3Server) -> Iterator[Case]:
    """What each container and each child of the embedded Batch takes, however small its work."""
    python = str(shop.python)
    yield Case(key="fixed/start/python -c pass/1", command=[python, "-c", "pass"])
    yield Case(key="fixed/start/wordfreq --help/1", command=shop.wordfreq("--help"))
    yield migrate(shop, "fixed/start/migrate of 1 KB/1", shop.corpora.file("tiny"))
    yield _task_in_s3(shop, server)
    number = str(shop.corpora.sizes.containers)
    array = [python, str(ROOT / "benchmarks" / "batch_array.py"), "--tasks", number]
    yield Case(
        key="fixed/batch/children of the embedded Batch/2",
        command=array,
        size=int(number),
        environment={"PYTHONPATH": str(ROOT)},
        rounds=1,
        check=lambda: {"printed": _printed(shop)},
    )
    yield from _pipelines(shop)


def _task_in_s3(shop: Workshop, server: S3Server) -> Case:
    """A task whose source, plan, counts and receipt are in S3; each run has its own destination."""
    plan = f"s3://{BUCKET}/plans/task.json"
    destinations = (f"s3://{BUCKET}/counts-{number}/" for number in itertools.count())

    def prepare() -> None:
        server.start()
        source = f"s3://{BUCKET}/{TASK}"
        command = shop.wordfreq(
            *("plan", "-s", source, "-d", next(destinations), "-p", plan, "--pack", "1GiB")
        )
        environment = {"PATH": "/usr/bin", **server.environment}
        subprocess.run(command, check=True, capture_output=True, env=environment)

    return Case(
        key=f"fixed/start/migrate of {TASK_FILES} files of 10 KB in S3/1",
        command=shop.wordfreq("migrate", "-p", plan, "-i", "0", *shop.threads(1)),
        environment=server.environment,
        prepare=prepare,
    )


def _pipelines(shop: Workshop) -> Iterator[Case]:
    """The whole job on each store; Dagster's own stores not at the largest size: it takes hours."""
    usual = shop.corpora.sizes.small_files
    wanted = {usual // 10: STORES, usual: STORES, usual * 10: STORES[:2]}
    if usual < _FEW:
        wanted = {usual: STORES[:1]}
    for files, stores in wanted.items():
        for store in stores:
            yield Case(
                key=f"fixed/pipeline/{store}, {files:,} files/2",
                command=[
                    str(shop.python),
                    *("-m", "benchmarks.pipeline", "--files", str(files), "--stores", store),
                    *(["--page"] if store == STORES[0] else []),
                ],
                size=files,
                environment={"PYTHONPATH": str(ROOT)},
                seconds=2400,
                rounds=1,
                check=partial(_of_pipeline, shop),
            )


def _of_pipeline(shop: Workshop) -> dict[str, Any]:
    """What `benchmarks.pipeline` printed of its two runs: all new, then nothing new."""
    printed = _printed(shop)
    new, nothing = re.findall(
        r"in all ([\d.]+) s; CPU of `dg launch` ([\d.]+) s, peak memory (\d+) MiB", printed
    )
    page = re.search(r"partition page in Chromium: ([\d.]+) s", printed)
    return {
        "new": float(new[0]),
        "nothing": float(nothing[0]),
        "orchestrator_cpu": float(new[1]),
        "orchestrator_mib": int(new[2]),
        **({"page": float(page[1])} if page else {}),
    }


def _plans(shop: Workshop) -> Iterator[Case]:
    key, number = "plan/simulated/ours/1", shop.corpora.sizes.plan_objects
    folder = shop.place(key)
    module = "benchmarks.bench.plan_many"
    yield Case(
        key=key,
        command=[str(shop.python), "-m", module, str(number), str(folder)],
        size=number,
        environment={"PYTHONPATH": str(ROOT)},
        rounds=1,
        prepare=partial(_fresh, folder),
        check=lambda: dict(json.loads(_printed(shop).splitlines()[-1])),
        memory=shop.memory,
    )


def _fresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
