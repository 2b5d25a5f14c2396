"""`make compare-icu` finds no difference where there is none, and each where there is one."""

from __future__ import annotations

import gzip
import shutil

import pytest

from benchmarks import compare_icu

TEXT = "Straße, ΟΔΟΣ don’t 3.14 漢字かな交じり文 ภาษาไทย \u1112\u1161\u11ab ﾊﾟ 👩‍🚀 a\u00adb\n" * 3


@pytest.mark.skipif(shutil.which("node") is None, reason="the other ICU is Node's")
def test_words_of_both_are_compared(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    (tmp_path / "latin.txt").write_bytes("Größe".encode("latin-1"))
    (tmp_path / "c.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(9))
    assert compare_icu.compare(tmp_path) == 0
    words = 2 * sum(compare_icu.ours(TEXT.encode()).values())
    assert f"| 2 | {words} | 0 |" in capsys.readouterr().out
    monkeypatch.setattr(compare_icu, "ours", lambda content: {"straße": 4})
    assert compare_icu.compare(tmp_path) == 2
    assert "('straße', 3)" in capsys.readouterr().err
