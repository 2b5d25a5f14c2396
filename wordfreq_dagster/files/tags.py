"""Run tags, metadata keys and owners of both pipelines. Earlier runs carry them: don't rename."""

from __future__ import annotations

#: Run tag: the source. The run queue lets one run of each value run at a time (`dagster.yaml`).
SOURCE_TAG = "wordfreq/source"
#: Run tag: the fingerprint of the listing that the run was asked for.
LISTING_TAG = "wordfreq/listing"
#: Run tag of runs that rank what they count, so that no automation has to.
RANKS_TAG = "wordfreq/ranks"
#: Metadata: the fingerprint (`storage.fingerprint`) of the files that a result is of.
LISTING = "source listing"
#: Metadata: the version of the counter that made the counts of a ranking.
COUNTER = "counter version"
#: Metadata: the settings' options that a result was made under, whatever its run's config said.
SETTINGS = "settings"

OWNERS = ["team:data-platform"]
