"""Events of many partitions: written in few transactions, and read in few queries.

One event per task is what a partition per task costs. `partitions` writes and reads them from
assets, `partition_sets` makes a set of partitions equal to a listing. Dagster's own event logs open
up to three connections for each; a `dagster.yaml` may choose a class of `sqlite` or `postgres`
instead, which keeps them open and writes many events in one transaction. With Dagster's own class
in its place everything works the same, slower. `retention` removes what runs of long ago said.
This is the only folder that uses what Dagster's public API lacks; tests pin it to the line in use.
"""
