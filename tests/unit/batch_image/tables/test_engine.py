"""Which engine counts is chosen by what is there; a wrong one is refused in words."""

import pytest

from wordfreq_batch.errors import UsageError
from wordfreq_batch.tables import engine


def test_an_extension_of_other_sources_is_refused_and_says_what_to_do(kernel, monkeypatch):
    assert engine.kernel() is kernel
    monkeypatch.setattr(kernel, "API", engine.API - 1)
    with pytest.raises(UsageError, match=r"built from other sources.*make setup"):
        engine.kernel()
    monkeypatch.setenv(engine.VARIABLE, "icu")
    assert engine.kernel() is None


def test_a_wrong_name_of_an_engine_is_refused(monkeypatch):
    monkeypatch.setenv(engine.VARIABLE, "fast")
    with pytest.raises(UsageError, match="set it to icu or kernel, or unset it"):
        engine.kernel()
