"""Plan for a bucket of very many objects, and load one task of the plan, as its child does.

    python -m benchmarks.bench.plan_many OBJECTS FOLDER

The listing is simulated: `plans.planning` gets made-up entries at the speed of a loop, so that
what is measured is all the rest. How fast a server lists is measured apart. Prints JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from unittest import mock

from wordfreq_batch.plans import plan_store, planning
from wordfreq_batch.storage.local import LocalStore
from wordfreq_batch.storage.opening import open_store
from wordfreq_batch.storage.store import ObjectInfo, Store


def entries(number: int) -> Iterator[ObjectInfo]:
    """Keys like those of a dated archive; sizes from 1 KB to 64 KB."""
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
    for i in range(number):
        key = f"archive/{2000 + i // 50_000}/{i // 1000 % 50:02}/document-{i:07}.txt"
        yield ObjectInfo(key, 1000 + i * 7919 % 63_000, f"{i:032x}-1", moment)


def main(objects: int, folder: Path) -> None:
    """Measure and print."""
    source = folder / "source"
    source.mkdir(parents=True, exist_ok=True)

    def opened(uri: str) -> Store:
        store = open_store(uri)
        if uri.rstrip("/").endswith(str(source)):
            store.list = lambda *_, **__: entries(objects)  # type: ignore[method-assign]
        return store

    began, cpu = time.perf_counter(), time.process_time()
    with mock.patch.object(planning, "open_store", opened):
        plan = planning.build_plan(
            source=str(source) + "/",
            destination=str(folder / "counts"),
            plan=str(folder / "plan.json"),
            counter_version="1",
            pack=64 << 20,
        )
    built = time.perf_counter() - began
    plan_store.write_plan(plan)
    written = time.perf_counter() - began - built
    used = time.process_time() - cpu

    read = 0
    real = LocalStore.get_range

    def counted(self: LocalStore, key: str, start: int, length: int) -> bytes:
        nonlocal read
        data = real(self, key, start, length)
        read += len(data)
        return data

    began = time.perf_counter()
    with mock.patch.object(LocalStore, "get_range", counted):
        head = plan_store.load_head(str(folder / "plan.json"))
        task = plan_store.load_task(head, head.total_tasks // 2)
    found = {
        "objects": objects,
        "tasks": head.total_tasks,
        "seconds_build": built,
        "seconds_write": written,
        "cpu": used,
        "plan_bytes": (folder / "plan.json").stat().st_size,
        "tasks_bytes": open_store(plan.head.folder).head(plan_store.COMPANION).size,
        "child_bytes": read,
        "child_files": len(task.items),
        "child_seconds": time.perf_counter() - began,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
