"""The jobs. One job is the whole pipeline, so one CLI command, schedule or sensor is enough."""

from __future__ import annotations

import dagster as dg

from wordfreq_dagster.defs.word_frequency.plan import plan
from wordfreq_dagster.defs.word_frequency.ranking import ranking
from wordfreq_dagster.defs.word_frequency.word_counts import word_counts

#: Name of the job of the whole pipeline.
WORD_FREQUENCY = "word_frequency"
#: Run tag: the source. The run queue lets one run of each value run at a time (`dagster.yaml`).
SOURCE_TAG = "wordfreq/source"
#: Run tag of runs that rank what they count, so that no automation has to.
RANKS_TAG = "wordfreq/ranks"


def word_frequency_job(source: str) -> dg.JobDefinition:
    """The job `word_frequency`; its runs carry the source as a tag."""
    job: dg.JobDefinition = dg.define_asset_job(
        WORD_FREQUENCY,
        selection=dg.AssetSelection.assets(plan, word_counts, ranking),
        description=(
            "The whole pipeline in one run: plan, count what is new or changed, rank. "
            "Start it without a partition."
        ),
        run_tags={SOURCE_TAG: source, RANKS_TAG: "true"},
    )  # type: ignore[assignment]
    return job
