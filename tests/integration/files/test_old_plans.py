"""What runs leave below `plans` goes after a time, never that of runs that may still need it."""

import os
from datetime import datetime, timedelta, timezone
from uuid import uuid4

import dagster as dg

from tests.instances import local_instance
from wordfreq_batch.plans.plan_store import KEPT_DAYS
from wordfreq_dagster.files.places import Places
from wordfreq_dagster.files.plans import remove_ended

NOW = datetime.now(timezone.utc)


@dg.job
def work():
    pass


def write(path, *, days):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    for each in (path, path.parent):
        os.utime(each, (stamp := (NOW - timedelta(days=days)).timestamp(), stamp))


def a_run(plans, *, days, run=None):
    run = run or str(uuid4())
    write(plans / f"{run}-all" / "made" / "migrate-00000.json", days=days)
    write(plans / f"{run}-all.json", days=days)
    return {plans / f"{run}-all.json", plans / f"{run}-all" / "made" / "migrate-00000.json"}


def test_a_year_of_runs_leaves_no_more_than_the_last_months(tmp_path):
    plans, output = tmp_path / "plans", tmp_path / "output"
    places = Places(
        source=str(tmp_path),
        destination=str(output),
        plans=str(plans),
        pack=1,
        report="all",
        retry_unusable=False,
    )
    with local_instance() as instance:
        live = instance.create_run_for_job(work).run_id
        kept = a_run(plans, days=300, run=live)
        for day in range(365):
            made = a_run(plans, days=day + 0.5)
            if day < KEPT_DAYS:
                kept |= made
        write(plans / "scratch" / "old" / "note", days=200)
        write(own := plans / "README", days=200)  # none of ours
        write(output / "a.txt", days=300)
        write(output / ".wordfreq-tmp-1", days=2)
        write(growing := output / ".wordfreq-tmp-2", days=0)
        removed = remove_ended(instance, places, now=NOW)
        assert removed == 2 * (365 - KEPT_DAYS) + 1
        there = {path for path in plans.rglob("*") if path.is_file()}
        assert there == kept | {own}
        assert {path.name for path in output.iterdir()} == {"a.txt", growing.name}
        remove_ended(instance, places, now=NOW + timedelta(days=2))
    assert not [path for path in plans.rglob("*") if path.is_dir() and not any(path.iterdir())]
