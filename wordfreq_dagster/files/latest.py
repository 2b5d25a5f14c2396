"""What the latest materialization of an asset says. For assets and their checks."""

from typing import Any

import dagster as dg


def latest_metadata(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, Any]:
    """The metadata values of the asset's latest materialization; empty if there is none."""
    event = instance.get_latest_materialization_event(key)
    made = event.asset_materialization if event else None
    return {name: found.value for name, found in made.metadata.items()} if made else {}
