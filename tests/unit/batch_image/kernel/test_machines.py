"""The same words whatever instructions count them: by setting, and on an emulated ARM processor."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from wordfreq_batch.errors import UsageError
from wordfreq_batch.tables import engine
from wordfreq_batch.text.words import WordCounter

KERNEL = Path(engine.__file__).parents[2] / "kernel"
ROOMS = ("base", "unicode", "tables", "machine", "scan", "merge")  # that know no Python
TEXT = (
    "It's “don’t”, U.S. 3.14 a_b __ x: a:b\r\nΟΔΥΣΣΕΥΣ ΑΣ·Α É E\u0301 İI\tצה\"ל\fहिन्दी\v"
    "ภาษาไทย 东京タワー 한국어a 👩‍💻 🇩🇪🇫🇷 10\u202f000 K ß incomprehensibilities "
).encode() + b"bad\xff\xe2\x80x\xf0\x9f\x98 \xed\xa0\x80 \xc3 a\x00b "


def texts() -> list[bytes]:
    unicode_data = Path("/usr/share/unicode/NamesList.txt")
    real = unicode_data.read_bytes() if unicode_data.exists() else b""
    every_byte = b"".join(bytes([one, other]) for one in range(256) for other in range(256))
    long = b"x" * 9000 + "日".encode() * 5000 + b" " + b"a.b" * 5000
    return [TEXT * 700, every_byte, long, b"", real[: 1 << 20]]


@pytest.fixture(scope="session")
def arm_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler, emulator = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
    if compiler is None or emulator is None:
        reason = "no aarch64-linux-gnu-gcc or no qemu-aarch64 (Debian: qemu-user)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    program = tmp_path_factory.mktemp("arm") / "count_words"
    parts = [path for room in ROOMS for path in (KERNEL / room).glob("*.c")]
    sources = [KERNEL / "fuzz" / "count_words.c", *parts]
    command = [compiler, "-static", "-pthread", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
    command.append(f"-I{KERNEL}")
    subprocess.run([*command, *map(str, sources), "-o", str(program)], check=True)
    return program


def printed(kernel: ModuleType, text: bytes, machine: str) -> bytes:
    """What the program prints, by the extension of this processor."""
    table = kernel.Table(1 << 40)
    scanner = kernel.Scanner(table, unicode=True, machine=machine)
    assert scanner.feed(text, 0, len(text)) == len(text)
    assert scanner.finish()
    words = table.by_word().lines(b"\t", 1 << 40)
    pieces = b"".join(b"%s\t%d\n" % item for item in sorted(scanner.take_pieces().items()))
    return b"%s\n%s\n%s\n%d\n" % (words, pieces, scanner.take_foreign(), scanner.invalid)


@pytest.mark.parametrize("machine", ["neon", "portable"])
def test_an_arm_processor_counts_the_same(
    kernel: ModuleType, arm_program: Path, machine: str
) -> None:
    for text in texts():
        ran = subprocess.run(
            ["qemu-aarch64", str(arm_program), machine], input=text, capture_output=True, check=True
        )
        for here in kernel.MACHINES:
            assert ran.stdout == printed(kernel, text, here)


def test_a_setting_chooses_the_instructions(
    kernel: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for machine in kernel.MACHINES:
        monkeypatch.setenv(engine.MACHINE_VARIABLE, machine)
        assert machine in engine.description()
        counter = WordCounter()
        counter.feed(TEXT * 50)
        seen.append(list(counter.finish().tally.by_count()))
    assert all(each == seen[0] for each in seen)
    monkeypatch.setenv(engine.MACHINE_VARIABLE, "neon" if "avx2" in kernel.MACHINES else "avx2")
    with pytest.raises(UsageError, match=r"set it to .*portable"):
        WordCounter()
