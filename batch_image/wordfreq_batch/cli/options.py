"""What the commands of the command line share: their frame, options and their types, messages."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeAlias

from wordfreq_batch.merge.document import RankingOptions
from wordfreq_batch.text.options import MOST_INVALID, TextOptions

if TYPE_CHECKING:
    from wordfreq_batch.plans.formats import ItemReceipt

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

_FIRST: Final = 10  # files that are named

LOCATIONS = """\
Locations are s3://bucket/prefix, file:///folder or plain paths. A key is taken literally (no
percent-decoding). Credentials, region and endpoint come from the standard AWS environment.
"""

EXIT_CODES = """\
exit codes: 0 done; 1 anything else (storage, network); 2 bad usage; 3 an input is missing or has
changed; 4 an input's data is bad; 5 there is not enough memory; 130, 143 stopped by SIGINT,
SIGTERM. All steps can be repeated.
"""


class ReportError(Exception):
    """What the work has given can't be written to stdout; the cause says why."""


@contextmanager
def reporting() -> Iterator[None]:
    """Write to stdout within the block, so that its errors aren't taken for those of the work."""
    try:
        yield
    except OSError as error:
        raise ReportError from error


def show(text: str, stream: TextIO | None = None) -> None:
    """A line on stdout, or on this stream."""
    with reporting():
        print(text, file=stream)


def say(message: str) -> None:
    """A line on stderr, if anybody reads it."""
    # A name may hold what the terminal's encoding can't show, lone surrogates among it.
    text = f"wordfreq: {message}\n".encode(sys.stderr.encoding or "utf-8", "backslashreplace")
    with suppress(OSError):
        sys.stderr.flush()
        sys.stderr.buffer.write(text)
        sys.stderr.buffer.flush()


def first(
    items: Sequence[ItemReceipt],
    about: Callable[[ItemReceipt], None],
    kind: str,
    what: str,
    where: str,
) -> None:
    """Say something `about` the first of the files; the others `what`, and are listed `where`."""
    for item in items[:_FIRST]:
        about(item)
    if len(items) > _FIRST:
        say(f"{kind}: {len(items) - _FIRST:,} more files {what}; {where} lists them")


# For a terminal whose encoding has no lines; what else it lacks is shown as an escape.
_PLAIN_LINES = str.maketrans("┌┬┐├┼┤└┴┘─│", "+++++++++-|")


def report(options: argparse.Namespace, text: str, document: Callable[[], dict[str, Any]]) -> None:
    """The result of a command, on stdout: for people, or with `--json` as one JSON document.

    With `--json` whatever else a command prints goes to stderr (`cli.main`).
    """
    if options.json:
        show(json.dumps(document(), indent=2), sys.__stdout__)
        return
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = text.translate(_PLAIN_LINES)
    if text:
        show(text)


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    description: str,
    example: str,
) -> argparse.ArgumentParser:
    """Add one command to the parser and return its own, for its options.

    Args:
        commands: of the whole parser.
        name: of the command.
        run: does it, and returns the exit code.
        summary: a line for the list of commands.
        description: above the options in the command's help.
        example: below them.
    """
    parser = commands.add_parser(
        name,
        help=summary,
        description=description + "\n" + LOCATIONS,
        epilog=example + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--json", action="store_true", help="print the result, or the error, as one JSON document"
    )
    parser.set_defaults(command=run)
    return parser


def add_text_options(parser: argparse.ArgumentParser) -> None:
    """Add how texts are read, for `text_options`."""
    parser.add_argument(
        "--encoding",
        default="",
        metavar="NAME",
        help="of texts that are neither UTF-8 nor marked: such as cp1252, or auto to guess it for "
        "each file (default: as the object's Content-Type says, else such a file is an error "
        "with a guess)",
    )
    parser.add_argument(
        "--most-invalid",
        type=share,
        default=MOST_INVALID,
        metavar="SHARE",
        help="of a text's bytes that may be wrong, such as 0.1%% (default: 0.0001%%; and damage to "
        "what is clearly UTF-8)",
    )
    parser.add_argument(
        "--fold",
        action="store_true",
        help="count spellings as one: don’t as don't, ﬁne as fine (NFKC), without soft hyphens, "
        "other invisible characters and tatweel",
    )


def text_options(options: argparse.Namespace) -> TextOptions:
    """The options of `add_text_options`, checked."""
    return TextOptions.make(
        encoding=options.encoding, most_invalid=options.most_invalid, fold=options.fold
    )


def add_ranking_options(parser: argparse.ArgumentParser) -> None:
    """Add which words are ranked."""
    parser.set_defaults(**RankingOptions()._asdict())
    for name, what in (
        ("--min-length", "shortest word"),
        ("--min-count", "rarest word"),
        ("--top", "how many words"),
    ):
        parser.add_argument(name, type=positive, metavar="N", help=f"{what} (default: %(default)s)")
    parser.add_argument(
        "--stop-words",
        type=languages,
        metavar="LANGS",
        help="leave out the stop words of these languages, e.g. en,de (default: none)",
    )


def add_work_options(parser: argparse.ArgumentParser) -> None:
    """Add threads and memory."""
    parser.add_argument(
        "--threads",
        type=threads,
        metavar="N",
        help="work by N threads (default: $WORDFREQ_THREADS, else auto: one for each vCPU)",
    )
    parser.add_argument(
        "--memory",
        type=size,
        metavar="SIZE",
        help="words held at a time, more go to the temporary folder "
        "(default: half of the container's memory; without a limit at most 1GiB for each thread)",
    )


def size(text: str) -> int:
    """Bytes from `64MiB`, `1.5gib`, `100kB`, `1000`."""
    from fractions import Fraction  # takes milliseconds to load

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


def price(text: str) -> float:
    """US dollars, 0 or more."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,12})?|\.[0-9]{1,12}", text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no price; write e.g. 0.625")
    return float(text)


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
