"""Automation conditions, each pinned by scenario tests in `tests/unit/automation`."""

from __future__ import annotations

import dagster as dg

#: Rank again whenever counts have changed and no counting is under way.
#: Not `eager()` and not `.since_last_handled()`: both lose an update that arrives on the tick after
#: a request (dagster-io/dagster #33586, #24650). No clause asks for all partitions, so one broken
#: file doesn't block the ranking. Remove when `eager()` keeps such updates.
RANKING_DUE = (
    dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated()).since(
        dg.AutomationCondition.newly_requested()
    )
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
).with_label("ranking_due")
