"""Pages of a list with opaque tokens, as the Describe and List operations return them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from aws_batch_emulator._core.errors import rejected
from aws_batch_emulator._core.model import Document


def token(position: int) -> str:
    """Return an opaque token for a position."""
    return base64.urlsafe_b64encode(f"page:{position}".encode()).decode()


def position(request: Document) -> int:
    """Return the position of the request's `nextToken`, 0 without one."""
    given = request.get("nextToken")
    if given is None:
        return 0
    try:
        kind, _, number = base64.urlsafe_b64decode(given).decode().partition(":")
        if kind != "page" or not number.isdecimal():
            raise ValueError(kind)
        return int(number)
    except (ValueError, binascii.Error):
        raise rejected("Invalid nextToken") from None


def page(key: str, items: Sequence[Any], request: Document, *, most: int) -> Document:
    """Return one page of `items` under `key`, with `nextToken` if there are more."""
    size = request.get("maxResults", most)
    if not 1 <= size <= most:
        raise rejected(f"maxResults must be between 1 and {most}, got {size}")
    start = position(request)
    answer: Document = {key: list(items[start : start + size])}
    if start + size < len(items):
        answer["nextToken"] = token(start + size)
    return answer
