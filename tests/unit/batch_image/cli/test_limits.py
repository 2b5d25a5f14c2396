"""Threads and memory: what the user says, else what the container has."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from wordfreq_batch.cli import limits
from wordfreq_batch.errors import UsageError
from wordfreq_batch.tables import engine


@pytest.fixture(autouse=True)
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_affinity", lambda: 8)
    monkeypatch.setattr(engine, "kernel", lambda: object())


def system(root: Path, groups: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = "sys/fs/cgroup/"
V1 = "sys/fs/cgroup/cpu/"
MEMORY_V1 = "sys/fs/cgroup/memory/"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("", {}, 8),
        ("0::/\n", {}, 8),
        ("0::/\n", {V2 + "cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {V2 + "cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {V2 + "cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {V2 + "cpu.max": "10000 100000\n"}, 1),
        ("0::/\n", {V2 + "cpu.max": "6400000 100000\n"}, 8),
        ("0::/a/b\n", {V2 + "a/b/cpu.max": "max 100000", V2 + "a/cpu.max": "300000 100000"}, 3),
        ("0::/of/the/host\n", {V2 + "cpu.max": "400000 100000\n"}, 4),
        ("0::/\n", {V2 + "cpu.max": "what is this"}, 8),
        ("not a group", {}, 8),
        (
            "11:memory:/x\n4:cpu,cpuacct:/docker/1\n",
            {
                V1 + "docker/1/cpu.cfs_quota_us": "500000",
                V1 + "docker/1/cpu.cfs_period_us": "100000",
            },
            5,
        ),
        (
            "4:cpu,cpuacct:/docker/1\n",
            {V1 + "cpu.cfs_quota_us": "-1", V1 + "cpu.cfs_period_us": "100000"},
            8,
        ),
    ],
)
def test_the_quota_of_the_control_group_counts(tmp_path, groups, files, expected) -> None:
    assert limits.available({}, system=system(tmp_path, groups, files)) == expected


def test_this_machine_has_some() -> None:
    assert limits.available({}) >= 1
    assert limits.memory(1) >= limits.LEAST_MEMORY


MIB = 1 << 20


@pytest.mark.parametrize(
    ("threads", "groups", "files", "expected"),
    [
        (1, "", {}, 1024),
        (8, "", {}, 8 * 1024),
        (2, "0::/\n", {V2 + "memory.max": "max\n"}, 2 * 1024),
        (4, "0::/\n", {V2 + "memory.max": str(2048 * MIB)}, 1024),
        (4, "0::/\n", {V2 + "memory.max": str(512 * MIB)}, 256),
        (1, "0::/\n", {V2 + "memory.max": str(100 * MIB)}, 256),
        (1, "0::/j\n", {V2 + "j/memory.max": "max", V2 + "memory.max": str(600 * MIB)}, 300),
        (1, "3:memory:/j\n", {MEMORY_V1 + "j/memory.limit_in_bytes": str(700 * MIB)}, 350),
        (1, "3:memory:/j\n", {MEMORY_V1 + "j/memory.limit_in_bytes": str(2**63 - 4096)}, 1024),
        (1, "0::/\n", {V2 + "memory.max": "what is this"}, 1024),
    ],
)
def test_words_may_have_half_of_the_containers_memory(
    tmp_path, monkeypatch, threads, groups, files, expected
) -> None:
    monkeypatch.setattr(limits, "_physical", lambda: 64 << 30)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    found = limits.memory(threads, system=system(tmp_path, groups, files))
    assert found == expected * MIB


def test_a_small_machine_is_not_used_up(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(limits, "_physical", lambda: 8 << 30)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert limits.memory(4, system=tmp_path) == 2048 * MIB
    monkeypatch.setattr(limits, "_physical", lambda: 0)
    assert limits.memory(4, system=tmp_path) == limits.LEAST_MEMORY


@pytest.fixture
def ecs() -> Iterator[tuple[str, dict[str, object]]]:
    answer: dict[str, object] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v4/1", answer
    server.shutdown()
    thread.join()
    server.server_close()


def test_ecs_tells_the_vcpus_of_a_job(ecs, tmp_path) -> None:
    uri, answer = ecs
    for given, expected in (
        ({"CPU": 3072, "Memory": 2048}, 3),
        ({"CPU": 1024}, 1),
        ({"CPU": 2}, 8),  # what stands there when none were asked for
        ({"CPU": 65536}, 8),
        ({}, 8),
        (None, 8),
    ):
        answer["Limits"] = given
        assert limits.available({limits.METADATA: uri}, system=tmp_path) == expected
    assert limits.available({limits.METADATA: "http://127.0.0.1:1/v4"}, system=tmp_path) == 8


def test_what_the_user_says_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "available", lambda _: 5)
    assert limits.threads(None, {}) == limits.threads(None, {limits.VARIABLE: "auto"}) == 5
    assert limits.threads(None, {limits.VARIABLE: "3"}) == 3
    assert limits.threads(2, {limits.VARIABLE: "3"}) == 2
    for wrong in ("0", "-1", "x", "257", "1.5", "²"):
        with pytest.raises(UsageError, match="WORDFREQ_THREADS"):
            limits.threads(None, {limits.VARIABLE: wrong})


def test_without_the_kernel_one_thread_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "kernel", lambda: None)
    assert limits.threads(7, dict(os.environ)) == 1
