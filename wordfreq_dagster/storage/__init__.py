"""Dagster's event log with many events in one transaction and connections that stay open.

One event per file is what a partition per file costs, and Dagster's own classes open up to three
connections for each. A `dagster.yaml` chooses a class of `sqlite` or `postgres`; with Dagster's own
class in its place everything works the same, slower. Nothing else of the project imports these.
They override methods of Dagster's that are not public API; a test pins them to the line in use.
"""
