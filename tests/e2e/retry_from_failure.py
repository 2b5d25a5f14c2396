"""A program for the tests: retry the last run of the instance from failure, as the UI does.

`python retry_from_failure.py`; needs DAGSTER_HOME. The last run is marked as failed first, which is
what Dagster's daemon does when it finds that the run's process is gone.
"""

import sys

import dagster as dg

from wordfreq_dagster.definitions import defs


def word_frequency():
    return defs().resolve_job_def("word_frequency")


if __name__ == "__main__":
    with dg.DagsterInstance.get() as instance:
        [run] = instance.get_runs(limit=1)
        if not run.is_finished:
            instance.report_run_failed(run)
        with dg.execute_job(
            dg.reconstructable(word_frequency),
            instance=instance,
            reexecution_options=dg.ReexecutionOptions.from_failure(run.run_id, instance),
            # Set by the UI and by the daemon's automatic retries, but not by this function.
            tags={"dagster/is_resume_retry": "true"},
        ) as result:
            sys.exit(0 if result.success else 1)
