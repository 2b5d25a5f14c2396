"""The code location: everything below `defs`, found as `dg` finds it, with links to its code."""

from __future__ import annotations

import warnings
from pathlib import Path

import dagster as dg

from wordfreq_dagster.code_links import with_code_references
from wordfreq_dagster.settings import Settings, load_settings, using

# Used on purpose: backfill policies, source code references, observable sources. Their warnings,
# a dozen per command, would hide what a user has to read.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

#: Assets that are shown only where a table is configured; `defs/csv_to_dynamodb` has their jobs.
_CSV_ASSETS = frozenset({dg.AssetKey("csv_uploads"), dg.AssetKey("csv_rows")})


_built: list[tuple[Settings, dg.Definitions]] = []


@dg.definitions
def defs() -> dg.Definitions:
    """Everything of this code location, for the settings of the environment."""
    settings = load_settings()
    # Dagster asks five times while it starts a run; building them takes half a second.
    if not _built or _built[0][0] != settings:
        _built[:] = [(settings, build_definitions(settings))]
    return _built[0][1]


def build_definitions(settings: Settings) -> dg.Definitions:
    """Everything of this code location, for the given settings.

    Args:
        settings: where files lie, what the stages run on, what is automated.

    Returns:
        The definitions in `wordfreq_dagster/defs`: a new module there needs no entry anywhere.
    """
    with using(settings):
        found = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    left_out = frozenset() if settings.csv_table else _CSV_ASSETS
    return with_code_references(found, settings.code_url, left_out=left_out)
