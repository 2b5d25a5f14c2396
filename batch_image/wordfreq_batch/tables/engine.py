"""Which engine counts: the C kernel where it was built, ICU alone elsewhere.

For `text.words`, `tables.tally`, `tables.runs` and `wordfreq --version`. Both give the
same words; the kernel is many times faster and leaves to ICU what it doesn't know.
`WORDFREQ_ENGINE=icu` or `kernel` in the environment chooses one by force, `WORDFREQ_MACHINE` what
instructions the kernel uses: one of those that the processor has.
"""

from __future__ import annotations

import os
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final

from wordfreq_batch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol

    from wordfreq_batch.tables.lines import WordCount

    class Cursor(Protocol):
        """Iterates the sorted items of a table, or yields the same as text."""

        def __iter__(self) -> Iterator[WordCount]:
            """Itself."""

        def __next__(self) -> WordCount:
            """The next word and its count."""

        def lines(self, separator: bytes, size: int, /) -> bytes:
            """The next words as lines `word separator count LF`, about `size` bytes or all."""

    class WordTable(Protocol):
        """Counts by word: `tables.tally.DictTable`, or the same in C."""

        @property
        def total(self) -> int:
            """Sum of the counts."""

        @property
        def full(self) -> bool:
            """Whether its memory is used up."""

        def __len__(self) -> int:
            """Number of different words."""

        def add(self, items: Iterator[WordCount], /) -> bool:
            """Add items until the memory is used up; false if there may be more of them."""

        def absorb(self, other: WordTable, /) -> bool:
            """Add all words of another table of this kind; false: not done, as room may lack."""

        def load(self, text: bytes, start: int, separator: bytes, part: int, parts: int, /) -> int:
            """Add lines from `start` on, of share `part` of `parts`; return the position reached.

            That is before the end if the memory is used up, or at a bad line.
            """

        def by_word(self) -> Cursor:
            """The words in the order of their bytes."""

        def by_count(self) -> Cursor:
            """The words by count, highest first, then in the order of their bytes."""

        def grow(self, memory: int, /) -> None:
            """Allow it so many more bytes of memory."""

        def use_threads(self, number: int, /) -> None:
            """Sort and absorb by so many threads from now on."""

        def expect_words(self, times: int, /) -> None:
            """Make room for so many times the different words that there are, within its memory."""

        def clear(self, *, keep: bool = False) -> None:
            """Forget all words; `keep` the memory, as there are as many to come."""

    class Merger(Protocol):
        """Merges sorted texts: in C, or in `tables.item_merger`."""

        @property
        def total(self) -> int:
            """Sum of the counts merged so far."""

        @property
        def distinct(self) -> int:
            """Different words merged so far."""

        def feed(self, number: int, text: bytes, /) -> None:
            """Give an input more of its text; nothing ends it."""

        def merge(
            self, separator: bytes, size: int, /
        ) -> list[bytes] | int | tuple[int, int, bytes]:
            """Lines for each output (none: that was all), or the number of the input to feed.

            Or of a bad line its input, number and text.
            """

    class Scanner(Protocol):
        """Counts the words of one stream into a table."""

        @property
        def invalid(self) -> int:
            """Bytes that were no UTF-8, without those of what is left to ICU."""

        def feed(self, chunk: bytes, start: int, end: int, /) -> int:
            """Count a chunk from `start` to `end`; return the position reached.

            Before the end: make room in the table, take pieces and foreign text, go on.
            """

        def count_each(
            self, texts: Sequence[bytes], separator: bytes, total: WordTable | None, /
        ) -> list[tuple[bytes, int, int, int]]:
            """Count small texts, each by itself, and add their words to `total`.

            For each text up to the first that has to be fed: its lines by count, the number of
            words, of different ones, and of bytes that were no UTF-8.
            """

        def finish(self) -> bool:
            """Count what is left; false: make room in the table and call it again."""

        def reset(self) -> None:
            """Forget the stream, for another; the words stay in the table."""

        def take_pieces(self) -> dict[bytes, int]:
            """Return and forget the short pieces that ICU has to cut, with their counts."""

        def take_foreign(self) -> bytes:
            """Return and forget the text of long pieces that ICU has to cut: again a stream."""


VARIABLE: Final = "WORDFREQ_ENGINE"
MACHINE_VARIABLE: Final = "WORDFREQ_MACHINE"
API: Final = 3
"""Of the C extension, as in `kernel/python/module.c`; raised when a call of it changes."""


def kernel() -> ModuleType | None:
    """Return the C extension if it is to be used.

    Raises:
        UsageError: `WORDFREQ_ENGINE` has another value, or wants a kernel that wasn't built; or the
            one there was built from other sources.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", "icu", "kernel"):
        raise UsageError(
            f"{VARIABLE}={wanted!r} is no engine; set it to icu or kernel, or unset it"
        )
    if wanted == "icu":
        return None
    found = extension()
    if wanted == "kernel" and found is None:
        raise UsageError(
            f"{VARIABLE}=kernel, but the C extension wordfreq_batch._kernel wasn't built: install "
            f"a C compiler and this package again, or unset {VARIABLE}"
        )
    if found is not None and getattr(found, "API", None) != API:
        raise UsageError(
            f"{found.__file__} was built from other sources than this wordfreq_batch: install the "
            f"package again (in a checkout: make setup), or set {VARIABLE}=icu"
        )
    return found


def machine(kernel: ModuleType) -> str:
    """The name of the instructions that the kernel uses: `avx512`, `avx2`, `neon` or `portable`.

    Raises:
        UsageError: `WORDFREQ_MACHINE` names some that the processor lacks.
    """
    names: tuple[str, ...] = kernel.MACHINES
    wanted = os.environ.get(MACHINE_VARIABLE, "") or names[0]
    if wanted not in names:
        raise UsageError(
            f"{MACHINE_VARIABLE}={wanted!r} isn't to be had here; set it to "
            f"{' or '.join(names)}, or unset it"
        )
    return wanted


def new_scanner(table: WordTable) -> Scanner | None:
    """Return a scanner of the kernel for a table of the kernel, or None if there is no kernel."""
    found = kernel()
    if found is None or not isinstance(table, found.Table):
        return None
    if not _knows_this_unicode(found):
        ascii_only: Scanner = found.Scanner(table, unicode=False, machine=machine(found))
        return ascii_only
    from wordfreq_batch.tables import icu

    addresses = icu.addresses()
    scanner: Scanner = found.Scanner(table, unicode=True, icu=addresses, machine=machine(found))
    return scanner


def description() -> str:
    """Say which engine counts, for people: `kernel (avx2, Unicode 17.0), ICU 78.3`."""
    from wordfreq_batch.tables import icu

    found = kernel()
    if found is None:
        reason = "no C extension: slower" if extension() is None else f"{VARIABLE}=icu"
        return f"ICU {icu.ICU_VERSION} ({reason})"
    known = f"Unicode {icu.unicode_version()}" if _knows_this_unicode(found) else "ASCII only"
    return f"kernel ({machine(found)}, {known}), ICU {icu.ICU_VERSION}"


@lru_cache(maxsize=1)
def extension() -> ModuleType | None:
    """Return the C extension if it was built."""
    try:
        return import_module("wordfreq_batch._kernel")
    except ImportError:
        return None


@lru_cache(maxsize=1)
def _knows_this_unicode(found: ModuleType) -> bool:
    """Whether the kernel's tables were made from the ICU that is here.

    Rules and properties change with ICU's major version and with Unicode's only.
    """
    from wordfreq_batch.tables import icu

    here = f"{icu.ICU_VERSION.partition('.')[0]}/{icu.unicode_version()}"
    tables: str = found.UNICODE_TABLES
    return tables == here
