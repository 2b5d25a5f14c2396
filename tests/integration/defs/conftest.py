"""Projects of either pipeline; the embedded AWS Batch of each ends with its test."""

import pytest

from aws_batch_emulator import stop_running
from tests.instances import local_instance
from tests.integration.defs.projects import Uploads, Words


@pytest.fixture
def instance():
    with local_instance() as made:
        yield made


@pytest.fixture
def words(tmp_path, instance):
    """Makes a project of the words pipeline, by settings."""
    yield lambda **settings: Words(tmp_path / "home", instance, **settings)
    stop_running(tmp_path / "home" / "batch")


@pytest.fixture
def place(words):
    return words(folder_depth=1)


@pytest.fixture
def uploads(tmp_path, instance, ministack, monkeypatch):
    """Makes a project of the CSV pipeline, by settings."""
    # The containers' own: the embedded AWS Batch hands its environment on.
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, ministack.environment[name])
    yield lambda **settings: Uploads(tmp_path / "home", instance, ministack, **settings)
    stop_running(tmp_path / "home" / "batch")


@pytest.fixture
def shop(uploads):
    return uploads()
