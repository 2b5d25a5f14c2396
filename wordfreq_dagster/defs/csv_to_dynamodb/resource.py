"""The CSV pipeline's places and settings: uploads, rejects, table, columns, keys.

The resource `csv`, where a table is configured.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import dagster as dg

from wordfreq_batch.csv.mirror import is_mirrored
from wordfreq_batch.csv.reading.rejects import limit_version, parse_limit
from wordfreq_batch.csv.settings import Settings
from wordfreq_batch.errors import NotFoundError, UsageError
from wordfreq_batch.plans.formats import LOADS
from wordfreq_batch.plans.plan import Plan
from wordfreq_batch.storage.opening import open_object
from wordfreq_dagster.files.places import Places, keep

#: Endings of the names of CSVs, in any case; other objects below the uploads are left alone.
ENDINGS = (".csv", ".csv.gz", ".csv.zst", ".csv.bz2")


def no_csv(name: str) -> str | None:
    """Why an upload of this name isn't loaded, or None."""
    return None if name.lower().endswith(ENDINGS) else "its name doesn't end with .csv"


#: The texts of the settings file that plans were made for last, by the settings' version.
_texts: dict[str, bytes] = {}


def _settings_of(plan: str) -> str:
    return plan.removesuffix(".json") + ".settings.toml"


class CsvPlaces(Places):
    """Where CSVs are uploaded, where rejected rows go, and the table for the others.

    Attributes:
        table: name of the DynamoDB table.
        columns: the columns that a CSV must have, such as `Sku,Price:number`.
        key: the table's partition key.
        sort_key: the table's sort key, if it has one.
        extra_columns: what becomes of other columns: `refuse`, `keep` or `drop`.
        delimiter: between fields: a character, its name, or `auto`.
        encoding: of files without a byte order mark.
        header: names of all columns where the files have no header; else `''`.
        settings_file: a TOML file with more settings, see `wordfreq_batch.csv.settings`; or `''`.
        max_rejects: highest number (`100`) or share (`1%`) of rejected rows that is no alarm.
        refuse_above: the same, above which nothing of a file is loaded; `''`: any number will do.
        write: `newer`, `absent` or `always`, as the option of `wordfreq ingest`.
        max_write_units: a second, of all containers of a run together; 0: as the table takes.
        removed: items whose rows or uploads are gone: `keep` them, or `mirror` the uploads.
        endpoint: of DynamoDB, for the containers; `''`: their own environment says.
    """

    table: str
    columns: str
    key: str
    sort_key: str
    extra_columns: Literal["refuse", "keep", "drop"]
    delimiter: str
    encoding: str
    header: str
    settings_file: str
    max_rejects: str
    refuse_above: str
    write: Literal["newer", "absent", "always"]
    max_write_units: int
    removed: Literal["keep", "mirror"]
    endpoint: str

    def made_for(self) -> dict[str, Any]:
        """The columns and keys, for each prefix, and what else decides what becomes of a CSV.

        Raises:
            dagster.Failure: the settings contradict each other, or their file isn't there.
        """
        names = ("columns", "key", "sort_key", "extra_columns", "delimiter", "encoding", "header")
        given = {name.replace("_", "-"): getattr(self, name) for name in names}
        text, absent = b"", self.write == "absent"
        try:
            if self.settings_file:
                store, key = open_object(self.settings_file)
                text = store.get(key)
            settings = Settings.parse(given, text.decode("utf-8-sig"), name=self.settings_file)
        except (UsageError, NotFoundError, UnicodeDecodeError) as error:
            raise dg.Failure(
                "WORDFREQ_CSV_COLUMNS, _KEY, _SORT_KEY, _DELIMITER, _ENCODING and _SETTINGS can't "
                f"be used: {error}",
                allow_retries=False,
            ) from error
        version = settings.version(self.table, absent=absent)
        keep(_texts, version, text)
        return {
            "counter_version": version,
            "version_of": lambda name: settings.version_of(name, self.table, absent=absent),
            "refuse": no_csv,
            "compact": True,
            "results": LOADS,
            "limit": limit_version(parse_limit(self.refuse_above) if self.refuse_above else None),
        }

    def settings_text(self, version: str) -> str:
        """What the table depends on besides the uploads; `version`: of columns, keys and so on."""
        return f"{version} {self.refuse_above or 'any'} {self.removed} {self.destination}"

    def save_plan(self, plan: Plan) -> None:
        """Write the plan, and beside it the settings file as it was then: what the run goes by."""
        if self.settings_file:
            copies, name = open_object(_settings_of(plan.head.plan.uri))
            copies.put(name, _texts[plan.head.counter_version])
        super().save_plan(plan)

    def compare(
        self, *, plan: str = "", only: Collection[str] | None = None, again: bool = False
    ) -> Plan:
        """Compare the uploads with what is loaded; many small objects of the ledger become one.

        Raises:
            dagster.Failure: the settings can't be used, or the uploads' place doesn't exist.
        """
        try:
            return super().compare(plan=plan, only=only, again=again)
        except NotFoundError as error:
            raise self.missing(error) from error

    def remove_results(self, names: Collection[str]) -> None:
        """Delete what is kept of these files; what a mirror needs to delete their items stays."""
        super().remove_results(names)
        if self.removed == "keep":
            self.forget_loads(names)

    def forget_loads(self, names: Collection[str]) -> None:
        """Delete the records of the loads of these files."""
        self.remove_outdated([LOADS + name for name in names])

    def is_mirrored(self) -> bool:
        """Whether the table holds no item of an upload or row that is gone, if that is wanted."""
        return self.removed == "keep" or is_mirrored(self.source, self.destination)

    def missing(self, error: NotFoundError) -> dg.Failure:
        """The failure that says where uploads are looked for."""
        return dg.Failure(
            f"{error}. WORDFREQ_CSV_SOURCE says where CSVs are uploaded: {self.source}",
            allow_retries=False,
        )

    def ingest_command(self, *, plan: str) -> list[str]:
        """Load the CSVs of one task of the plan."""
        options = ["ingest", "--plan", plan, "--table", self.table, "--columns", self.columns]
        options += ["--key", self.key, "--extra-columns", self.extra_columns, "--write", self.write]
        options += [*self.rate(), "--delimiter", self.delimiter, "--encoding", self.encoding]
        options += ["--header", self.header] if self.header else []
        options += ["--settings", _settings_of(plan)] if self.settings_file else []
        options += ["--max-rejects", self.refuse_above] if self.refuse_above else []
        return options + (["--sort-key", self.sort_key] if self.sort_key else [])

    def rate(self) -> list[str]:
        """The options of how quickly containers write."""
        units = self.max_write_units
        return ["--max-write-units", str(units)] if units else []

    def environment(self) -> dict[str, str]:
        """What the containers need in their environment."""
        return {"AWS_ENDPOINT_URL_DYNAMODB": self.endpoint} if self.endpoint else {}

    def too_many(self, *, rejected: int, read: int) -> bool:
        """Whether so many rejected rows of so many are an alarm."""
        if self.max_rejects.endswith("%"):
            return rejected * 100 > float(self.max_rejects[:-1]) * read
        return rejected > float(self.max_rejects)
