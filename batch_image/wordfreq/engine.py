"""Which engine counts: the C kernel where it was built, ICU alone elsewhere.

For `wordfreq.words`, `wordfreq.tally` and `wordfreq --version`. Both give the same words; the
kernel is many times faster and leaves to ICU what it doesn't know. `WORDFREQ_ENGINE=icu` or
`kernel` in the environment chooses one by force.
"""

from __future__ import annotations

import os
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Final

from wordfreq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class Cursor(Protocol):
        """Iterates (word, count), or yields the same as text."""

        def __iter__(self) -> Iterator[tuple[str, int]]: ...
        def __next__(self) -> tuple[str, int]: ...
        def lines(self, separator: bytes, size: int, /) -> bytes:
            """The next words as lines `word separator count LF`, about `size` bytes or all."""

    class Table(Protocol):
        """Counts by word; `wordfreq.tally.DictTable` in C."""

        total: int
        full: bool

        def __len__(self) -> int: ...
        def add(self, items: Iterator[tuple[str, int]], /) -> bool:
            """Add items until the memory is used up; false if there may be more."""

        def by_word(self) -> Cursor: ...
        def by_count(self) -> Cursor: ...
        def clear(self) -> None: ...

    class Scanner(Protocol):
        """Counts the words of one stream into a table; see `batch_image/kernel/scanner.h`."""

        invalid: int

        def feed(self, chunk: bytes, start: int, /) -> int: ...
        def finish(self) -> None: ...
        def take_pieces(self) -> dict[bytes, int]: ...
        def take_foreign(self) -> bytes: ...


VARIABLE: Final = "WORDFREQ_ENGINE"


def kernel() -> ModuleType | None:
    """Return the C extension if it is to be used.

    Raises:
        UsageError: `WORDFREQ_ENGINE` has another value, or wants a kernel that wasn't built.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", "icu", "kernel"):
        raise UsageError(f"{VARIABLE}={wanted!r} is no engine; set it to icu or kernel, or unset it")
    if wanted == "icu":
        return None
    found = extension()
    if wanted == "kernel" and found is None:
        raise UsageError(
            f"{VARIABLE}=kernel, but the C extension wordfreq._kernel wasn't built: install a C "
            f"compiler and this package again, or unset {VARIABLE}"
        )
    return found


def new_scanner(table: Table) -> Scanner | None:
    """Return a scanner of the kernel for a table of the kernel, or None if there is no kernel."""
    found = kernel()
    if found is None or not isinstance(table, found.Table):
        return None
    scanner: Scanner = found.Scanner(table, unicode=_knows_this_unicode(found))
    return scanner


def description() -> str:
    """Say which engine counts, for people: `kernel (avx2, Unicode 17.0), ICU 78.3`."""
    from wordfreq import icu

    found = kernel()
    if found is None:
        reason = "no C extension: slower" if extension() is None else f"{VARIABLE}=icu"
        return f"ICU {icu.ICU_VERSION} ({reason})"
    known = f"Unicode {icu.unicode_version()}" if _knows_this_unicode(found) else "ASCII only"
    return f"kernel ({found.VECTORS}, {known}), ICU {icu.ICU_VERSION}"


@lru_cache(maxsize=1)
def extension() -> ModuleType | None:
    """Return the C extension if it was built."""
    try:
        from wordfreq import _kernel
    except ImportError:
        return None
    module: ModuleType = _kernel
    return module


@lru_cache(maxsize=1)
def _knows_this_unicode(found: ModuleType) -> bool:
    """Whether the kernel's tables were made from the ICU that is here.

    Rules and properties change with ICU's major version and with Unicode's only.
    """
    from wordfreq import icu

    here = f"{icu.ICU_VERSION.partition('.')[0]}/{icu.unicode_version()}"
    return bool(found.UNICODE_TABLES == here)
