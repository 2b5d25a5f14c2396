"""What this package asks of ICU: word segments, NFC, lower case and character classes.

`icu4py` brings ICU in its wheel and wraps the break iterator; the other three are called through
ICU's own C API in that same library (ctypes), because Python's `str.lower` and `unicodedata` follow
the Unicode version of the interpreter: the same file would be counted differently by Python 3.10
(Unicode 13) and 3.14 (Unicode 16). With one ICU there is one answer.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache

import icu4py
from icu4py import breakers

from wordfreq_batch.errors import WordfreqError

ICU_VERSION: str = icu4py.icu_version

_OVERFLOW = 15  # U_BUFFER_OVERFLOW_ERROR: the result is longer than the buffer; its length is known
_UNTERMINATED = -124  # U_STRING_NOT_TERMINATED_WARNING: it fits, with no room for a NUL

_Chars = ctypes.c_char_p  # UTF-16 in the machine's byte order; lengths are always passed along
_Call = Callable[["ctypes.Array[ctypes.c_char]", int, ctypes.c_int], int]
_Error = ctypes.POINTER(ctypes.c_int)
_ENCODING = f"utf-16-{sys.byteorder[0]}e"
_LONE = "surrogatepass"


def _function(name: str, result: type | None, *arguments: type) -> ctypes._FuncPtr:  # type: ignore[name-defined]
    """Look up an ICU C function; the symbol carries ICU's major version (`u_charType_78`)."""
    symbol = f"{name}_{ICU_VERSION.partition('.')[0]}"
    try:
        # A lookup in the extension module also searches the libraries it was linked with, so the
        # private file names of the wheel don't matter.
        function = getattr(ctypes.CDLL(breakers.__file__), symbol)
    except (AttributeError, OSError) as error:
        raise WordfreqError(
            f"ICU's function {symbol} can't be reached through icu4py ({error}); "
            "install the icu4py wheel for Linux or macOS"
        ) from error
    function.restype, function.argtypes = result, arguments
    return function


_FIRST_TEXT = "\u6f22\u30fc\u3031\u1112\ud55c\u0e01\u0e81\u179b\u1781\u1000\n"


def segments(text: str) -> Iterator[str]:
    """Cut `text` as ICU's root word break iterator does; joined again, the segments are `text`."""
    # ICU loads a script's dictionary when it first meets the script, and what it has met before,
    # in this breaker and in others, decides who gets a character of no script, such as U+30FC at
    # the beginning of a run. So that a file's words don't depend on other files, each breaker
    # meets all of them first, ending with a line. (The kernel's does too: kernel/scan/icu.c.)
    found = iter(breakers.WordBreaker(_FIRST_TEXT + text, ""))
    left = len(_FIRST_TEXT)
    while left > 0:
        left -= len(next(found))
    return iter(found.__next__, None)  # `iter(found)` would begin anew


def unicode_version() -> str:
    """Return the Unicode version of this ICU, such as `17.0`."""
    version = (ctypes.c_uint8 * 4)()
    _function("u_getUnicodeVersion", None, ctypes.c_void_p)(version)
    return f"{version[0]}.{version[1]}"


class _Strings:
    """ICU's string functions, looked up once."""

    def __init__(self) -> None:
        size, flags = ctypes.c_int32, ctypes.c_void_p
        self._lower = _function("u_strToLower", size, _Chars, size, _Chars, size, _Chars, _Error)
        self._normalize = _function(
            "unorm2_normalize", size, flags, _Chars, size, _Chars, size, _Error
        )
        status = ctypes.c_int(0)
        self._forms = {
            form: _function(f"unorm2_get{form}Instance", flags, _Error)(ctypes.byref(status))
            for form in ("NFC", "NFKC")
        }
        _check(status, "unorm2_getNFCInstance")

    def lower(self, text: str) -> str:
        source = text.encode(_ENCODING)

        def call(buffer: ctypes.Array[ctypes.c_char], room: int, status: ctypes.c_int) -> int:
            arguments = (buffer, room, source, len(source) // 2, b"", ctypes.byref(status))
            return int(self._lower(*arguments))

        return _filled(call, len(source) // 2)

    def normal(self, form: str, text: str) -> str:
        source = text.encode(_ENCODING, _LONE)

        def call(buffer: ctypes.Array[ctypes.c_char], room: int, status: ctypes.c_int) -> int:
            arguments = (
                self._forms[form],
                source,
                len(source) // 2,
                buffer,
                room,
                ctypes.byref(status),
            )
            return int(self._normalize(*arguments))

        return _filled(call, len(source) // 2)


def _filled(call: _Call, units: int) -> str:
    """Run an ICU function that fills a buffer of UTF-16 units, again with more room if need be."""
    room = units + 16
    for _ in range(2):
        buffer, status = ctypes.create_string_buffer(2 * room), ctypes.c_int(0)
        length = call(buffer, room, status)
        if status.value != _OVERFLOW:
            break
        room = length
    if status.value != _UNTERMINATED:
        _check(status, "string function")
    return buffer.raw[: 2 * length].decode(_ENCODING, _LONE)


def _check(status: ctypes.c_int, what: str) -> None:
    if status.value > 0:  # negative: warnings
        raise WordfreqError(f"ICU's {what} failed with error {status.value}")


@lru_cache(maxsize=1)
def _strings() -> _Strings:
    return _Strings()


def nfc(text: str) -> str:
    """Return `text` in Unicode Normalization Form C (UAX #15)."""
    return text if text.isascii() else _strings().normal("NFC", text)


def nfkc(text: str) -> str:
    """Return `text` in Unicode Normalization Form KC (UAX #15); lone surrogates as they are."""
    return text if text.isascii() else _strings().normal("NFKC", text)


def lower(text: str) -> str:
    """Return `text` in lower case: Unicode 3.13 toLowercase, full mappings, root locale.

    `text` is all the context that there is: a capital sigma after a cased letter becomes a final
    sigma when no cased letter follows it within `text`.
    """
    return text.lower() if text.isascii() else _strings().lower(text)


@lru_cache(maxsize=1)
def addresses() -> tuple[int, ...]:
    """Return where the functions are that `batch_image/kernel/scan/icu.h` lists, in its order."""
    names = ("ubrk_open", "ubrk_close", "ubrk_setText", "ubrk_next", "u_strToLower")
    functions = [_function(name, None) for name in (*names, "unorm2_normalize")]
    status = ctypes.c_int(0)
    nfc = _function("unorm2_getNFCInstance", ctypes.c_void_p, _Error)(ctypes.byref(status))
    _check(status, "unorm2_getNFCInstance")
    return (*(ctypes.cast(f, ctypes.c_void_p).value or 0 for f in functions), nfc)


def regular_expression(pattern: str) -> str:
    """Write an ICU UnicodeSet, such as `[[:L:][:N:]]`, as a character class of Python's `re`.

    https://unicode-org.github.io/icu/userguide/strings/unicodeset.html
    """
    ranges = (rf"\U{first:08x}-\U{last:08x}" for first, last in character_ranges(pattern))
    return f"[{''.join(ranges)}]"


def character_ranges(pattern: str) -> list[tuple[int, int]]:
    """List the ranges (first and last code point) of an ICU UnicodeSet, ascending."""
    size, handle = ctypes.c_int32, ctypes.c_void_p
    source = pattern.encode(_ENCODING)
    status = ctypes.c_int(0)
    chosen = _function("uset_openPattern", handle, _Chars, size, _Error)(
        source, len(source) // 2, ctypes.byref(status)
    )
    _check(status, f"uset_openPattern({pattern!r})")
    count = _function("uset_getItemCount", size, handle)(chosen)
    point = ctypes.POINTER(size)
    get = _function("uset_getItem", size, handle, size, point, point, handle, size, _Error)
    ranges = []
    first, last = size(), size()
    for item in range(count):
        ends = (ctypes.byref(first), ctypes.byref(last))
        # 0: the item is a range; a longer result would be a string, which these sets don't hold
        if get(chosen, item, *ends, None, 0, ctypes.byref(status)) == 0:
            ranges.append((first.value, last.value))
        _check(status, "uset_getItem")
    _function("uset_close", None, handle)(chosen)
    return ranges
