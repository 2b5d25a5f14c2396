"""The rows of each uploaded CSV in DynamoDB: one partition per file, one array job per run."""

from collections.abc import Collection, Iterator
from typing import Any

import dagster as dg

from dagster_aws_batch import BatchJobs
from dagster_aws_batch.automation.turns import take_turn
from dagster_aws_batch.events.partition_sets import chosen_keys
from wordfreq_batch.plans.formats import ItemReceipt, RowFigures
from wordfreq_batch.plans.plan import Plan
from wordfreq_batch.plans.reports import FileReport
from wordfreq_batch.progress import size
from wordfreq_dagster.defs.csv_to_dynamodb.csv_uploads import GROUP, csv_uploads
from wordfreq_dagster.defs.csv_to_dynamodb.dry_run import dry_run
from wordfreq_dagster.defs.csv_to_dynamodb.mirror import mirrored
from wordfreq_dagster.defs.csv_to_dynamodb.resource import CsvPlaces
from wordfreq_dagster.files.partitions import csv_uploads_partitions
from wordfreq_dagster.files.places import (
    describe_uri,
    listed_names,
    listed_reasons,
)
from wordfreq_dagster.files.plans import made_from, plan_of_choice, sync_with_plan
from wordfreq_dagster.files.report import FileReporter, raise_for_failed, reported_check, verdict
from wordfreq_dagster.files.stages import Stages
from wordfreq_dagster.files.tags import LISTING, OWNERS, SETTINGS, SOURCE_TAG

ROWS_ADD_UP = "every_row_accounted_for"
FEW_REJECTS = "few_rejects"
REPORTED = "every_load_reported"
_CHECKS = {
    ROWS_ADD_UP: "Every CSV is loaded, and of each: rows read = items written + rows rejected + "
    "rows superseded. Where the table mirrors the uploads, it holds no item of an upload or row "
    "that is gone.",
    FEW_REJECTS: "No file has more rejected rows than WORDFREQ_CSV_MAX_REJECTS.",
    REPORTED: "Dagster shows every CSV in the state that it is in: loaded, or bad data.",
}

Event = (
    dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckResult | dg.MaterializeResult[None]
)


class CsvRun(dg.Config):
    """Config of a run.

    Attributes:
        dry_run: write nothing; observe what would be written, rejected and paid.
    """

    dry_run: bool = False


@dg.asset(
    deps=[csv_uploads],
    partitions_def=csv_uploads_partitions,
    # Any contiguous set of partitions is one run, and so one array job.
    backfill_policy=dg.BackfillPolicy.single_run(),
    # One AssetMaterialization per file, no output: files that are done stay green when others fail.
    output_required=False,
    check_specs=[
        dg.AssetCheckSpec(name, asset="csv_rows", description=text)
        for name, text in _CHECKS.items()
    ],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"aws", "s3", "dynamodb"},
    tags={"domain": "products"},
)
def csv_rows(
    context: dg.AssetExecutionContext,
    config: CsvRun,
    batch: BatchJobs,
    csv: CsvPlaces,
    stages: Stages,
) -> Iterator[Event]:
    """The rows of each uploaded CSV as items of a DynamoDB table, one partition per file.

    Without a partition, as in the job `csv_to_dynamodb`, every upload is loaded that is new or has
    other bytes than when it was loaded. With partitions chosen in the UI exactly these are loaded
    again. One file is one AWS Batch job, several are one array job. Rows that can't be items are in
    the rejects, each with line number and reason; a file that fails leaves the others alone.

    A removed upload loses its partition and its rejects; its items stay in the table, as do those
    of the rows that a replaced one has no more, unless `WORDFREQ_CSV_REMOVED` is `mirror`. With
    `dry_run` in the config nothing is loaded: an observation of the asset says what would be
    written, rejected and paid.
    """
    keys = chosen_keys(context)
    take_turn(context, csv.source, tag=SOURCE_TAG)
    kind = "csv-rehearsal" if config.dry_run else "csv" if keys is None else "csv-files"
    planned = plan_of_choice(context, csv, keys, kind=kind, again=keys is not None)
    whole = planned if keys is None else None
    if config.dry_run:
        stale = not csv.is_mirrored()
        yield dry_run(context, planned, batch=batch, csv=csv, stages=stages, stale=stale)
        yield from _checks(context, whole, FileReport(done=(), failed={}), csv, stale=stale)
        return
    more = _show_uploads(context, planned, csv) if whole else {}
    command = csv.ingest_command(plan=planned.head.plan.uri)
    job = stages.job("ingest", command, environment=csv.environment())
    reporter = _reporter(context, planned, csv, whole=keys is None)
    report, outcome = reporter.run(batch, job, chosen=keys)
    deleted, not_mirrored, stale = {}, None, not csv.is_mirrored()
    if stale and whole and not report.failed:
        try:
            deleted = mirrored(context, planned, batch=batch, csv=csv, stages=stages)
            stale = False
        except dg.Failure as failure:  # the checks say what is so, also then
            not_mirrored = failure
    yield from _checks(context, whole, report, csv, stale=stale)
    head = planned.head
    metadata: dict[str, Any] = {"plan": head.plan.uri, "table": csv.table, **more}
    metadata |= {**_totals(report), **outcome.metadata()}
    raise_for_failed(report, outcome, done="loaded", job=GROUP, metadata=metadata)
    if not_mirrored is not None:
        raise not_mirrored
    if whole:
        made_of = {LISTING: head.listing, SETTINGS: csv.settings_text(head.counter_version)}
        yield dg.MaterializeResult(metadata={**metadata, **deleted, **made_of})


def _reporter(
    context: dg.AssetExecutionContext, planned: Plan, csv: CsvPlaces, *, whole: bool
) -> FileReporter:
    return FileReporter(
        context,
        planned=planned,
        stage="ingest",
        whole=whole,
        report=csv.report,
        partitions=csv_uploads_partitions,
        event=lambda item: _event(context.asset_key, item, csv),
    )


def loaded_listing(instance: dg.DagsterInstance, csv: CsvPlaces) -> str:
    """The uploads that the latest whole run has loaded, see `made_from`.

    Settings that can't be used are taken for others: the run says what is wrong with them.
    """
    try:
        settings = csv.settings_text(str(csv.made_for()["counter_version"]))
    except dg.Failure:
        settings = ""
    return made_from(instance, csv_rows.key, {SETTINGS: settings})


def _show_uploads(
    context: dg.AssetExecutionContext, planned: Plan, csv: CsvPlaces
) -> dict[str, object]:
    """Make the partitions equal to the uploads and observe these; metadata of the run."""
    changes, refused = sync_with_plan(
        context, planned, csv, csv_uploads_partitions, observes=csv_uploads.key
    )
    return {
        "CSVs": len(planned.items) + len(planned.unusable),
        "bad CSVs": listed_reasons({each.name: each.reason for each in planned.unusable}),
        "removed CSVs": listed_names(changes.removed),
        "files left out": listed_reasons(refused),
    }


def _figures(report: FileReport) -> list[tuple[str, RowFigures]]:
    return [(item.name, item.rows) for item in report.done if item.rows is not None]


def _totals(report: FileReport) -> dict[str, object]:
    rows = [figures for _, figures in _figures(report)]
    return {
        "files loaded": len(rows),
        "files unchanged": report.unchanged + len(report.done) - len(rows),
        "files failed": len({*report.failed, *report.known}),
        "rows read": sum(each.read for each in rows),
        "items written": sum(each.written for each in rows),
        "rows rejected": sum(each.rejected for each in rows),
        "rows superseded": sum(each.superseded for each in rows),
        "keys that several uploads hold": sum(each.newer + each.shared for each in rows),
        "write units": round(sum(each.capacity for each in rows), 1),
    }


def _checks(
    context: dg.AssetExecutionContext,
    whole: Plan | None,
    report: FileReport,
    csv: CsvPlaces,
    *,
    stale: bool,
) -> Iterator[dg.AssetCheckResult]:
    """All checks, of every upload, whichever run has loaded it.

    `whole` is the plan of a whole run; without it the uploads are listed now. `stale`: the table
    is to mirror the uploads and doesn't yet.
    """
    known = whole or csv.compare()
    done = {item.name for item in report.done} if whole else set()
    yield _accounted(known, report, done, stale=stale)
    yield _few_rejects(known, report, csv)
    yield reported_check(
        context.instance,
        context.asset_key,
        csv_uploads_partitions,
        known,
        name=REPORTED,
        done=done,
        failed=report.failed,
        job="csv_to_dynamodb",
        report=csv.report,
    )


def _accounted(
    known: Plan, report: FileReport, done: Collection[str], *, stale: bool
) -> dg.AssetCheckResult:
    wrong = {
        name: f"{rows.read:,} rows read, {rows.written:,} written, {rows.rejected:,} rejected, "
        f"{rows.superseded:,} superseded"
        for name, rows in _figures(report)
        if rows.read != rows.written + rows.rejected + rows.superseded
    }
    wrong |= {name: "not loaded" for name in known.pending if name not in done}
    wrong |= {each.name: each.reason for each in known.unusable}
    wrong |= {name: why for name, why in report.failed.items() if name in wrong}
    notes = [f"{len(wrong):,} CSVs are not loaded, or not all of their rows"] if wrong else []
    notes += ["items of uploads or rows that are gone are still in the table"] if stale else []
    return dg.AssetCheckResult(
        check_name=ROWS_ADD_UP,
        passed=not notes,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(notes) or None,
        metadata={"files": len(known.items) + len(known.unusable), "wrong": listed_reasons(wrong)},
    )


def _few_rejects(known: Plan, report: FileReport, csv: CsvPlaces) -> dg.AssetCheckResult:
    counts = {
        item.name: (item.counted.words, item.counted.invalid, "")
        for item in known.items
        if item.counted is not None
    } | {
        name: (
            rows.read,
            rows.rejected,
            f"; the first: line {first.line}: {first.reason}"
            if (first := next(iter(rows.rejects), None))
            else "",
        )
        for name, rows in _figures(report)
    }
    many = {
        name: f"{rejected:,} of {read:,} rows rejected{first}"
        for name, (read, rejected, first) in counts.items()
        if csv.too_many(rejected=rejected, read=read)
    }
    return verdict(
        many,
        f"files have more than {csv.max_rejects} rejected rows",
        name=FEW_REJECTS,
        metadata={"allowed": csv.max_rejects, "files": listed_reasons(many)},
    )


def _event(asset_key: dg.AssetKey, item: ItemReceipt, csv: CsvPlaces) -> dg.AssetMaterialization:
    metadata: dict[str, Any] = {
        "table": csv.table,
        "upload": describe_uri(f"{csv.source.rstrip('/')}/{item.name}"),
        "rejects": describe_uri(f"{csv.destination.rstrip('/')}/{item.name}"),
        "ETag": item.etag,
        "bytes": item.size,
        "size": size(item.size),
    }
    if item.reused:  # of a file that an earlier run loaded only this is known
        metadata |= {
            "dagster/row_count": item.distinct,
            "rows read": item.words,
            "items written": item.distinct,
            "rows rejected": item.invalid,
        }
    if (rows := item.rows) is not None:
        metadata |= {
            "seconds": round(item.seconds, 3),
            "dagster/row_count": rows.written,
            "rows read": rows.read,
            "items written": rows.written,
            "rows rejected": rows.rejected,
            "rows superseded": rows.superseded,
            "rows of newer uploads' keys": rows.newer,
            "items of other uploads replaced": rows.shared,
            "other uploads": listed_names(rows.others),
            "write units": rows.capacity,
            "requests": rows.requests,
            "puts repeated": rows.refused,
            "sample of items": _table([dict(sample) for sample in rows.sample]),
            "first rejects": _table(
                [{"line": r.line, "reason": r.reason, "text": r.text} for r in rows.rejects]
            ),
        }
    return dg.AssetMaterialization(
        asset_key=asset_key,
        partition=item.name,
        metadata=metadata,
        tags={"dagster/data_version": item.etag},
    )


def _table(records: list[dict[str, str | int]]) -> dg.MetadataValue:
    """Records as a table; items may differ in their attributes."""
    names = list(dict.fromkeys(name for record in records for name in record))
    rows = [dg.TableRecord({name: record.get(name, "") for name in names}) for record in records]
    return dg.MetadataValue.table(rows) if rows else dg.MetadataValue.text("none")
