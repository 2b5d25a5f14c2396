"""Automation conditions, each pinned by scenario tests in `tests/unit/defs`."""

from __future__ import annotations

import dagster as dg

from wordfreq_dagster.files.tags import RANKS_TAG

_COUNTS_CHANGED = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated())

#: A new ranking by a run that counted as well: it holds all that this run has counted.
_RANKED_BY_ITS_RUN = (
    dg.AutomationCondition.newly_updated()
    & dg.AutomationCondition.all_new_updates_have_run_tags(tag_values={RANKS_TAG: "true"})
)

#: Rank again whenever counts have changed and no counting is under way.
#: Not `eager()` and not `.since_last_handled()`: both lose an update that arrives on the tick after
#: a request (dagster-io/dagster #33586, #24650), because an OR drops the times of its parts; so
#: there are two `since` instead of one with an OR. No clause asks for all partitions, so one broken
#: file doesn't block the ranking. Remove when `eager()` keeps such updates.
RANKING_DUE = (
    _COUNTS_CHANGED.since(dg.AutomationCondition.newly_requested())
    & _COUNTS_CHANGED.since(_RANKED_BY_ITS_RUN)
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
).with_label("ranking_due")


def ranking_due_sensor(
    *, interval: int, status: dg.DefaultSensorStatus
) -> dg.AutomationConditionSensorDefinition:
    """The sensor that evaluates the conditions of this code location's assets.

    Dagster's own, `default_automation_condition_sensor`, is off until somebody switches it on.
    """
    return dg.AutomationConditionSensorDefinition(
        name="ranking_due",
        target=dg.AssetSelection.all(),
        minimum_interval_seconds=interval,
        default_status=status,
        description="Ranks again when files were counted outside of the job `word_frequency`.",
    )
