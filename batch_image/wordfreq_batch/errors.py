"""The errors of this package, each with the exit code it means for a container.

Anything in the package raises these; `cli.main` prints the message and exits with `exit_code`, and
`plans.tasks` writes both into a task's receipt. A message names the object (the full URI) and says
what to do next.
"""

from __future__ import annotations

from typing import ClassVar, Final

OUT_OF_MEMORY: Final = (
    "there is not enough memory; give the process more of it, or fewer --threads and less --memory"
)
"""What to say of a `MemoryError`."""

NO_MEMORY: Final = 5
"""The exit code of a process that ended for it; a file that failed for it may pass (1)."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means a lack of memory: threads and libraries have other words for it."""
    words = (
        "start new thread",
        "map segment",
        "Cannot allocate",
        "not enough memory",
        "ion_failed",
    )
    return isinstance(error, MemoryError) or any(each in str(error) for each in words)


class WordfreqError(Exception):
    """Anything this package reports to its user. Raised itself only when nothing below fits."""

    exit_code: ClassVar[int] = 1


class UsageError(WordfreqError):
    """The command line, the environment or an argument can't be what the caller meant."""

    exit_code = 2


class InputError(WordfreqError):
    """An input isn't there, isn't what it was when it was planned, or can't be named there."""

    exit_code = 3


class NotFoundError(InputError):
    """An object, a file, a folder or a bucket doesn't exist."""


class ChangedError(InputError):
    """An object's ETag is no longer the one the caller asked for."""


class RefusedNameError(InputError):
    """A key that its container can't hold, such as `a//b` in a local folder."""


class DataError(WordfreqError):
    """An object was read, but its bytes are not what they claim to be."""

    exit_code = 4


class StorageError(WordfreqError):
    """The storage failed or refused: network, credentials, disk full."""


class AlreadyExistsError(StorageError):
    """A write that must create found the object there already."""


class PermissionDeniedError(StorageError):
    """The storage knows who asks and refuses."""
