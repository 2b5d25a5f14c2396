"""The jobs. One job is the whole pipeline, so one CLI command, schedule or sensor is enough."""

from __future__ import annotations

import dagster as dg

from wordfreq_dagster.assets.plan import plan
from wordfreq_dagster.assets.ranking import ranking
from wordfreq_dagster.assets.word_counts import word_counts

word_frequency = dg.define_asset_job(
    "word_frequency",
    selection=dg.AssetSelection.assets(plan, word_counts, ranking),
    description=(
        "The whole pipeline in one run: plan, count what is new or changed, rank. "
        "Start it without a partition."
    ),
)
