"""Errors: what the emulator answers, in AWS's words where those are on record, and its own.

`ApiError` becomes an HTTP answer. `EmulatorError` is for users: it is raised to who starts one.
"""

from __future__ import annotations


class ApiError(Exception):
    """An answer other than success: AWS's error code, text and HTTP status."""

    def __init__(
        self, code: str, message: str, *, status: int = 400, wrapped: bool = False
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.status = status
        self._message = message
        self._wrapped = wrapped

    def text(self, request_id: str) -> str:
        """Return the message as Batch words it, with the request's id where Batch tells it."""
        if not self._wrapped:
            return self._message
        return f"Error executing request, Exception : {self._message}, RequestId: {request_id}"


def rejected(message: str) -> ApiError:
    """Return the ClientException by which Batch refuses a request, in its usual wrapping."""
    return ApiError("ClientException", message, wrapped=True)


def plain(message: str) -> ApiError:
    """Return a ClientException whose text Batch does not wrap."""
    return ApiError("ClientException", message)


def unsupported(what: str) -> ApiError:
    """Return the answer to something AWS Batch can do and this emulator can't."""
    return ApiError("ClientException", f"The Batch emulator does not support {what}.")


class EmulatorError(Exception):
    """The emulator itself can't start or go on; the message says what to do."""
