"""What the commands of the command line share: their frame, option types, messages.

For `cli.main` and the modules of single commands, `wordfreq.cli_*`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

LOCATIONS = """\
Locations are s3://bucket/prefix, file:///folder or plain paths. A key is taken literally (no
percent-decoding). Credentials, region and endpoint come from the standard AWS environment.
"""

EXIT_CODES = """\
exit codes: 0 done; 1 anything else (storage, network); 2 bad usage; 3 an input is missing or has
changed; 4 an input's data is bad; 130, 143 stopped by SIGINT, SIGTERM. All steps can be repeated.
"""


def say(message: str) -> None:
    """A line on stderr."""
    # A name may hold what the terminal's encoding can't show, lone surrogates among it.
    text = f"wordfreq: {message}\n".encode(sys.stderr.encoding or "utf-8", "backslashreplace")
    sys.stderr.flush()
    sys.stderr.buffer.write(text)
    sys.stderr.buffer.flush()


def add_command(
    commands: Commands,
    name: str,
    command: Callable[[argparse.Namespace], int],
    *,
    description: str,
    example: str,
    summary: str,
) -> argparse.ArgumentParser:
    """Add one command to the parser and return its own, for its options."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=description + "\n" + LOCATIONS,
        epilog=example + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=command)
    return parser


def size(text: str) -> int:
    """Bytes from `64MiB`, `1.5gib`, `100kB`, `1000`."""
    pattern = r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*(?:([kmgt])(i?)b?|b)?"
    match = re.fullmatch(pattern, text.strip(), re.IGNORECASE | re.ASCII)
    number = Fraction(match[1]) if match else Fraction()
    power = " KMGT".index(match[2].upper()) if match and match[2] else 0
    bytes_ = int(number * int((1024 if match and match[3] else 1000) ** power))
    if bytes_ == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write e.g. 64MiB, 500kB or 1000")
    return bytes_


def share(text: str) -> float:
    """A share from `0.1%` or `0.001`, 0 to 1."""
    percent = text.endswith("%")
    try:
        found = float(text.removesuffix("%")) / (100 if percent else 1)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; write e.g. 0.1% or 0.001")
    return found


def natural(text: str) -> int:
    """0 or more."""
    if re.fullmatch("[0-9]{1,9}", text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no number, 0 or more")
    return int(text)


def positive(text: str) -> int:
    """1 or more."""
    if (number := natural(text)) == 0:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return number


def threads(text: str) -> int | None:
    """1 to 256, or None for `auto`."""
    if text == "auto":
        return None
    if (number := positive(text)) > 256:
        raise argparse.ArgumentTypeError("it must be 256 or less")
    return number


def languages(text: str) -> tuple[str, ...]:
    """Codes with commas between them."""
    return tuple(part.strip().lower() for part in text.split(",") if part.strip())
