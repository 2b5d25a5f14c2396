"""A program for the tests: retry the last run of the instance from failure, as the UI does.

`python retry_from_failure.py`; needs DAGSTER_HOME. That the run's process is gone the deployment's
own sensor `dead_runs` has to find out; here its ticks follow each other without their pause.
"""

import sys

import dagster as dg

from dagster_aws_batch._alive import TICKS
from wordfreq_dagster.definitions import defs


def word_frequency():
    return defs().resolve_job_def("word_frequency")


if __name__ == "__main__":
    with dg.DagsterInstance.get() as instance:
        [run] = instance.get_runs(limit=1)
        sensor, cursor = defs().resolve_sensor_def("dead_runs"), None
        for _ in range(TICKS + 1):
            with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
                cursor = sensor.evaluate_tick(context).cursor
        with dg.execute_job(
            dg.reconstructable(word_frequency),
            instance=instance,
            reexecution_options=dg.ReexecutionOptions.from_failure(run.run_id, instance),
            # Set by the UI and by the daemon's automatic retries, but not by this function.
            tags={"dagster/is_resume_retry": "true"},
        ) as result:
            sys.exit(0 if result.success else 1)
