"""Links from an asset's page to its code: the file on this machine, or a line on GitHub or GitLab.

`definitions` puts them on the assets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

_TREE = re.compile(r"(https://.+?)/(?:-/)?tree/(.+?)/?$")


def with_code_references(assets: Sequence[Any], url: str) -> Sequence[Any]:
    """The assets with references to their code; `url` is `https://…/OWNER/REPO/tree/BRANCH` or ''.

    Raises:
        ValueError: `url` has no such form.
    """
    referenced = dg.with_source_code_references(assets)
    if not url:
        return referenced
    match = _TREE.match(url)
    if not match:
        raise ValueError(
            "WORDFREQ_CODE_URL: https://HOST/OWNER/REPOSITORY/tree/BRANCH is needed "
            f"(it is {url!r})"
        )
    root = Path(__file__).resolve().parents[3]
    return dg.link_code_references_to_git(
        referenced,
        git_url=match[1],
        git_branch=match[2],
        platform="gitlab" if "gitlab" in match[1] else "github",
        file_path_mapping=dg.AnchorBasedFilePathMapping(
            local_file_anchor=root, file_anchor_path_in_repository=""
        ),
    )
