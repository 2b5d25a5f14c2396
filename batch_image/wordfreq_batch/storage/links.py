"""Symbolic links and forbidden files of a local folder, as a listing meets them.

For `storage.local` only.
"""

from __future__ import annotations

import os
import stat

from wordfreq_batch.storage.store import Unreadable


class Links:
    """What a listing says of entries that can't be read, or that it has elsewhere."""

    def __init__(self, root: str) -> None:
        self._root = os.path.realpath(root)
        self._counted = [self._root]  # and what links outside of it lead to

    def unreadable(self, path: str, status: os.stat_result) -> Unreadable | None:
        """Why the file or folder is not to be read; None where it is."""
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(path)  # noqa: PTH115
            return Unreadable("dangling link", f"it is a link to {target}, which isn't there")
        if os.path.islink(path):  # noqa: PTH114
            real = os.path.realpath(path)
            if _is_in(self._root, real):
                return Unreadable("second name", f"it is a link to {real}, around the source")
            if any(_is_in(real, each) for each in self._counted):
                reason = f"it is a link to {real}, which is counted by another name"
                return Unreadable("second name", reason)
            self._counted.append(real)
        if stat.S_ISREG(status.st_mode) and not os.access(path, os.R_OK):
            return Unreadable("unreadable", "permission denied; check who may read it")
        return None


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
