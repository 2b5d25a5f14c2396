"""A PostgreSQL server with TLS and passwords, for tests and for `benchmarks.pipeline`."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.waiting import until


@contextlib.contextmanager
def postgres_server(*, password, durable=False):
    """The port of a server with the user and the database `dagster`.

    It refuses to run as root: there it runs as `postgres`. Only a `durable` one waits for the disk.
    """
    found = [*Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if not found:
        missing = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    programs = sorted(found)[-1].parent
    # Not below pytest's folder, into which the user `postgres` may not look.
    data = Path(tempfile.mkdtemp(prefix="wordfreq-postgres-", dir="/tmp"))
    quiet = {"cwd": "/", "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    key, certificate, secret = data / "key.pem", data / "certificate.pem", data / "password"
    made = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=localhost"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, timeout=60, **quiet)
    secret.write_text(password)
    key.chmod(0o600)
    user = {}
    if os.getuid() == 0:
        for path in (data, key, certificate, secret):
            shutil.chown(path, "postgres", "postgres")
        user = {"user": "postgres", "group": "postgres"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    create = [programs / "initdb", "-D", data / "db", "-U", "dagster", "--no-sync"]
    create += ["--auth=scram-sha-256", f"--pwfile={secret}"]
    subprocess.run(create, check=True, timeout=120, **quiet, **user)
    options = ["-p", str(port), "-k", str(data), "-c", "listen_addresses=127.0.0.1"]
    options += [] if durable else ["-c", "fsync=off"]
    options += ["-c", "ssl=on", "-c", f"ssl_key_file={key}", "-c", f"ssl_cert_file={certificate}"]
    server = subprocess.Popen([programs / "postgres", "-D", data / "db", *options], **quiet, **user)
    try:
        ask = [programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "dagster"]
        known = os.environ | {"PGPASSWORD": password}
        until(
            lambda: (
                subprocess.run([*ask, "dagster"], timeout=30, env=known, **quiet).returncode == 0
            ),
            process=server,
            what="PostgreSQL",
        )
        yield port
    finally:
        server.terminate()
        server.wait(timeout=60)
        shutil.rmtree(data)
