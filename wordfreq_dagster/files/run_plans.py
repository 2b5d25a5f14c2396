"""Which plan a run works by: the one it finds from before a retry, or a new one."""

from collections.abc import Collection

import dagster as dg

from dagster_aws_batch import origin_run_id
from wordfreq_batch.plans.formats import Plan
from wordfreq_dagster.files.places import Places


def plan_of_run(context: dg.AssetExecutionContext, places: Places) -> Plan | None:
    """The plan that this run made, or the run that it is a retry of; None if there is none."""
    run = context.run
    origin = origin_run_id(context.instance, run)
    for run_id in dict.fromkeys([origin, run.run_id, run.parent_run_id, run.root_run_id]):
        if run_id and (found := places.read_plan(places.plan_uri(run_id))):
            return found
    return None


def plan_of_choice(
    context: dg.AssetExecutionContext, places: Places, keys: Collection[str], *, kind: str
) -> Plan:
    """The plan of exactly these files. `kind` tells the plans of one run apart.

    A retry of the step finds the same plan, and by it the same jobs and receipts.
    """
    uri = places.plan_uri(origin_run_id(context.instance, context.run), kind=kind)
    planned = places.read_plan(uri)
    if planned is None or {item.name for item in planned.items if item.wanted} != set(keys):
        planned = places.look(plan=uri, only=keys)
        places.save_plan(planned)
    return planned
