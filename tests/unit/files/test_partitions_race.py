"""Partitions that several runs add at the same moment, on a real instance."""

from concurrent.futures import ThreadPoolExecutor

import dagster as dg

from wordfreq_dagster.files.partitions import _add


def test_runs_that_add_the_same_partitions_at_once_do_not_hurt_each_other():
    keys = [f"file {n}" for n in range(300)]
    with dg.instance_for_test() as instance:
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(_add, instance, "files", keys) for _ in range(4)]:
                done.result()
        assert sorted(instance.get_dynamic_partitions("files")) == sorted(keys)
