"""The project on folders of a test, with what its jobs do and what Dagster shows of them."""

import gzip
import json

import dagster as dg

from tests.instances import local_instance
from wordfreq_dagster.definitions import build_definitions
from wordfreq_dagster.files.partitions import csv_uploads_partitions, source_files_partitions
from wordfreq_dagster.settings import Settings

GOOD, OTHER, BAD = b"cat cat cat dog", b"bird bird bird", b"\x1f\x8b no archive"
SAMPLE = "ProductId,ProductName,ProductDescription\n1,name1,desc1\n2,name2,desc2"


class Project:
    """One pipeline on folders and an instance of its own."""

    job: str
    #: The asset with a partition per file, and its partitions.
    files: str
    partitions_def: dg.DynamicPartitionsDefinition
    #: The folder below `home` that files arrive in.
    folder: str

    def __init__(self, home, instance, **settings):
        self.home = home
        self.instance = instance
        self.inputs = home / self.folder
        self.inputs.mkdir(parents=True, exist_ok=True)
        self.set(**settings)

    def set(self, **settings):
        """Load the definitions by these settings alone."""
        self.settings = Settings(home=str(self.home), **settings)
        self.definitions = build_definitions(self.settings)

    def change(self, **settings):
        """Load the definitions by these settings and those of before."""
        self.settings = self.settings.model_copy(update=settings)
        self.definitions = build_definitions(self.settings)

    def write(self, name, text):
        path = self.inputs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def pack(self, **files):
        """Write texts as gzip files, but for what is none on purpose."""
        for name, data in files.items():
            self.write(f"{name}.gz", data if data == BAD else gzip.compress(data))

    def run(self, **options):
        job = self.definitions.resolve_job_def(self.job)
        return job.execute_in_process(
            **{"instance": self.instance, "raise_on_error": False} | options
        )

    def materialize(self, *assets, **options):
        """These assets alone, as from their pages in the UI."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        options["asset_selection"] = [dg.AssetKey(asset) for asset in assets]
        return job.execute_in_process(instance=self.instance, raise_on_error=False, **options)

    def again(self, key):
        """Chosen in the UI: the partition of this file alone."""
        return self.materialize(self.files, partition_key=key)

    def run_elsewhere(self):
        """A run that this instance has no record of."""
        with local_instance() as other:
            return self.run(instance=other)

    def asks(self, sensor):
        """Whether a tick of this sensor asks for a run."""
        with dg.build_sensor_context(instance=self.instance) as context:
            found = self.definitions.resolve_sensor_def(sensor).evaluate_tick(context)
        return bool(found.run_requests)

    def metadata(self, asset):
        event = self.instance.get_latest_materialization_event(dg.AssetKey(asset))
        return {key: value.value for key, value in event.asset_materialization.metadata.items()}

    def reported(self, run):
        """The files that a run has reported, by name."""
        found = self.instance.fetch_materializations(dg.AssetKey(self.files), limit=1000).records
        mine = [each for each in found if each.run_id == run.run_id]
        return sorted(each.partition_key for each in mine if each.partition_key is not None)

    @property
    def partitions(self):
        return set(self.instance.get_dynamic_partitions(self.partitions_def.name))

    @property
    def green(self):
        return set(self.instance.get_materialized_partitions(dg.AssetKey(self.files)))

    @property
    def status(self):
        found = self.instance.get_status_by_partition(
            dg.AssetKey(self.files), self.partitions, self.partitions_def
        )
        return {key: status and status.value for key, status in found.items()}


class Words(Project):
    """The words of files in `source`."""

    job, folder = "word_frequency", "source"
    files, partitions_def = "word_counts", source_files_partitions

    @property
    def ranking(self):
        document = json.loads((self.home / "ranking" / "ranking.json").read_text())
        return {entry["Word"]: entry["Count"] for entry in document["Words"]}


class Uploads(Project):
    """CSVs in `uploads`, and a table."""

    job, folder = "csv_to_dynamodb", "uploads"
    files, partitions_def = "csv_rows", csv_uploads_partitions

    def __init__(self, home, instance, ministack, **settings):
        self.dynamodb = ministack.client("dynamodb")
        self.table = ministack.table()
        given = {"csv_table": self.table, "csv_endpoint": ministack.url, "csv_pack": 1}
        super().__init__(home, instance, **given | settings)

    @property
    def items(self):
        found = self.dynamodb.scan(TableName=self.table)["Items"]
        return {i["ProductId"]["S"]: i["ProductName"]["S"] for i in found}

    @property
    def red(self):
        return {key for key, status in self.status.items() if status == "FAILED"}

    def figures(self, partition=None):
        for record in self.instance.fetch_materializations(
            dg.AssetKey(self.files), limit=100
        ).records:
            made = record.asset_materialization
            if made.partition == partition:
                return {
                    key: [record.data for record in value.records]
                    if isinstance(value, dg.TableMetadataValue)
                    else value.value
                    for key, value in made.metadata.items()
                }
        return {}


def failures(result):
    return " ".join(
        event.step_failure_data.error.message + str(event.step_failure_data.user_failure_data)
        for event in result.get_step_failure_events()
    )


def checks(result):
    return {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
