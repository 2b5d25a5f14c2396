"""Links from an asset's page to its code: the file on this machine, or a line on GitHub or GitLab.

`definitions` puts them on the assets.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

_TREE = re.compile(r"(https://.+?)/(?:-/)?tree/(.+?)/?$")


def with_code_references(
    found: dg.Definitions, url: str, *, left_out: Collection[dg.AssetKey] = ()
) -> dg.Definitions:
    """The definitions, each asset with a reference to its code.

    Args:
        found: the definitions of the code location.
        url: `https://HOST/OWNER/REPOSITORY/tree/BRANCH`, or `''` for the files on this machine.
        left_out: assets that these definitions don't hold.

    Returns:
        The same definitions.

    Raises:
        ValueError: `url` has no such form.
    """
    # A module that imports an asset brings it along: each of them once.
    once: dict[int, Any] = {id(asset): asset for asset in found.assets or ()}
    assets = [asset for asset in once.values() if not _keys(asset) & set(left_out)]
    return dg.Definitions(
        assets=_linked(assets, url),
        asset_checks=found.asset_checks,
        jobs=found.jobs,
        schedules=found.schedules,
        sensors=found.sensors,
        resources=found.resources,
        executor=found.executor,
        loggers=found.loggers,
    )


def _keys(asset: Any) -> set[dg.AssetKey]:
    return set(asset.keys) if hasattr(asset, "keys") else {asset.key}


def _linked(assets: Sequence[Any], url: str) -> Sequence[Any]:
    referenced = dg.with_source_code_references(assets)
    if not url:
        return referenced
    match = _TREE.match(url)
    if not match:
        raise ValueError(
            "WORDFREQ_CODE_URL: https://HOST/OWNER/REPOSITORY/tree/BRANCH is needed "
            f"(it is {url!r})"
        )
    root = Path(__file__).resolve().parents[1]
    return dg.link_code_references_to_git(
        referenced,
        git_url=match[1],
        git_branch=match[2],
        platform="gitlab" if "gitlab" in match[1] else "github",
        file_path_mapping=dg.AnchorBasedFilePathMapping(
            local_file_anchor=root, file_anchor_path_in_repository=""
        ),
    )
