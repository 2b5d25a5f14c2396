"""Partitions of files that are gone, on a real instance with its database in a file."""

import dagster as dg

from dagster_aws_batch.events.partition_sets import sync_partitions

FILES = dg.DynamicPartitionsDefinition(name="files")


def test_thousands_of_partitions_are_removed_in_few_transactions(monkeypatch):
    keys = [f"folder/file {number} 'ü%.txt" for number in range(4_000)]
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("files", keys)
        instance.add_dynamic_partitions("others", keys[:3])
        storage = instance.event_log_storage
        opened = []
        connect = storage.index_connection
        monkeypatch.setattr(
            storage, "index_connection", lambda: opened.append(1) or connect(), raising=True
        )

        removed = []
        changes = sync_partitions(instance, FILES, keys[:10], remove_results=removed.extend)

        assert len(opened) < 40  # a transaction per partition took minutes for 50,000
        assert list(changes.removed) == removed == keys[10:]
        assert instance.get_dynamic_partitions("files") == keys[:10]
        assert instance.get_dynamic_partitions("others") == keys[:3]
