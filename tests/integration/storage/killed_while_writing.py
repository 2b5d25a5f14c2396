"""Report all partitions that aren't reported yet; with a number, end by SIGKILL at that statement.

    python killed_while_writing.py FILES [STATEMENT]

Prints the number of statements that the reporting took. DAGSTER_HOME names the instance.
"""

import os
import signal
import sys

import dagster as dg
import sqlalchemy

from wordfreq_dagster.files.dagster_events import log_materializations, materialized_versions

FILES = dg.DynamicPartitionsDefinition(name="stored")
KEY = dg.AssetKey("files")


def main():
    files, end = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None
    statements = 0

    def count(*_):
        nonlocal statements
        statements += 1
        if statements == end:
            os.kill(os.getpid(), signal.SIGKILL)

    @dg.asset(partitions_def=FILES, output_required=False)
    def files_asset(context: dg.AssetExecutionContext):
        known = materialized_versions(context.instance, KEY)
        missing = [f"k{number}" for number in range(files) if f"k{number}" not in known]
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", count)
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, "commit", count)
        log_materializations(
            context,
            [
                dg.AssetMaterialization(KEY, partition=key, tags={"dagster/data_version": "v"})
                for key in missing
            ],
        )

    with dg.DagsterInstance.get() as instance:
        assert dg.materialize([files_asset], instance=instance).success
    print(statements)


if __name__ == "__main__":
    main()
