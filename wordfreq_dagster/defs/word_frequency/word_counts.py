"""The counts of each file: one dynamic partition per file, one array job for all of a run."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from dagster_aws_batch import BatchJobs
from dagster_aws_batch.automation.turns import take_turn
from dagster_aws_batch.events.partition_sets import chosen_keys
from dagster_aws_batch.events.partitions import done_without_events
from wordfreq_batch.plans.formats import ItemReceipt
from wordfreq_batch.plans.plan import Plan
from wordfreq_batch.plans.reports import FileReport
from wordfreq_batch.progress import size
from wordfreq_dagster.defs.word_frequency.count_checks import check_counts
from wordfreq_dagster.defs.word_frequency.plan import plan
from wordfreq_dagster.defs.word_frequency.source_files import GROUP
from wordfreq_dagster.files.partitions import source_files_partitions
from wordfreq_dagster.files.places import WordPlaces, describe_uri
from wordfreq_dagster.files.plans import plan_of_choice, plan_of_run
from wordfreq_dagster.files.report import FileReporter, raise_for_failed
from wordfreq_dagster.files.stages import Stages
from wordfreq_dagster.files.tags import OWNERS, SOURCE_TAG


class CountOptions(dg.Config):
    """What is counted; set it in the launchpad, by `--config` or by a run's config."""

    recount: bool = Field(
        default=False, description="count files again whose counts are valid already"
    )


@dg.asset(
    deps=[plan],
    partitions_def=source_files_partitions,
    # Any contiguous set of partitions is one run, and so one array job.
    backfill_policy=dg.BackfillPolicy.single_run(),
    # One AssetMaterialization per file, no output: files that are done stay green when others fail.
    output_required=False,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"aws", "s3"},
    tags={"domain": "text"},
)
def word_counts(
    context: dg.AssetExecutionContext,
    config: CountOptions,
    batch: BatchJobs,
    locations: WordPlaces,
    stages: Stages,
) -> Iterator[dg.MaterializeResult[None]]:
    """The words of each file with their counts, one object and one partition per file.

    Together with `plan`, as in the job `word_frequency` or by *Materialize all*, the pending files
    of the plan are counted: those that are new or have changed. With partitions chosen, exactly
    these are. A chosen file whose counts are valid is confirmed, and counted again only if the
    config says `recount`. Either way it is one AWS Batch array job; each file is reported with its
    own figures, and a file that fails doesn't take its neighbours with it.
    """
    take_turn(context, locations.source, tag=SOURCE_TAG)
    planned = plan_of_run(context, locations)
    keys = chosen_keys(context)
    with_plan = planned is not None  # then it decides, whatever partitions were chosen
    if config.recount:
        more = planned.pending if planned is not None and keys is not None else ()
        again = None if keys is None else {*keys, *more}
        planned = plan_of_choice(context, locations, again, kind="recount", again=True)
    elif planned is None:
        planned = _plan_of(context, locations, keys)
    whole = with_plan or keys is None
    reporter = FileReporter(
        context,
        planned=planned,
        stage="migrate",
        whole=whole,
        confirmed=keys if with_plan else None,
        report=locations.report,
        partitions=source_files_partitions,
        event=lambda item: _materialization(context.asset_key, item, locations),
    )
    job = stages.job("migrate", ["migrate", "--plan", planned.head.plan.uri])
    report, outcome = reporter.run(batch, job, chosen=None if whole else keys)
    # Who reads the counts must not take those of earlier bytes for those of the present ones.
    locations.remove_outdated({*report.bad, *(set(planned.stale) & report.known.keys())})
    if report.failed or keys is not None:  # else the checks themselves follow, see `count_checks`
        _report_checks(context, planned if with_plan else locations.compare(), report, locations)
    totals = {"plan": planned.head.plan.uri, **_totals(report), **outcome.metadata()}
    raise_for_failed(report, outcome, done="counted", job=GROUP, metadata=totals)
    if keys is None:
        # Without partition keys the asset itself is reported too, else `ranking` is skipped.
        yield dg.MaterializeResult(metadata=totals)
    elif with_plan:
        yield done_without_events()


def _plan_of(
    context: dg.AssetExecutionContext, locations: WordPlaces, keys: list[str] | None
) -> Plan:
    if keys is None:
        raise dg.Failure(
            "this run has no plan: materialize `plan` with it (the job `word_frequency` does), "
            "or choose the partitions to count",
            allow_retries=False,
        )
    return plan_of_choice(context, locations, keys, kind="files")


def _report_checks(
    context: dg.AssetExecutionContext, planned: Plan, report: FileReport, locations: WordPlaces
) -> None:
    done = {item.name for item in report.done}
    for found in check_counts(
        context.instance, planned, locations, done=done, failed=report.failed
    ):
        context.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=context.asset_key,
                check_name=found.check_name or "",
                passed=found.passed,
                metadata=found.metadata,
                severity=found.severity,
                description=found.description,
            )
        )


def _totals(report: FileReport) -> dict[str, int | str]:
    return {
        "files counted": len(report.done),
        "files unchanged": report.unchanged,
        "files failed": len({*report.failed, *report.known}),
        "files set aside (no text)": sum(bool(item.aside) for item in report.done),
        "bytes counted": (read := sum(item.bytes for item in report.done)),
        "size counted": size(read),
        "words counted": sum(item.words for item in report.done),
        "bytes not UTF-8": sum(item.invalid for item in report.done),
    }


def _materialization(
    asset_key: dg.AssetKey, item: ItemReceipt, locations: WordPlaces
) -> dg.AssetMaterialization:
    read: dict[str, float | str] = {"bytes": item.bytes, "size": size(item.bytes)}
    read["seconds"] = round(item.seconds, 4)
    return dg.AssetMaterialization(
        asset_key=asset_key,
        partition=item.name,
        metadata={
            "words": item.words,
            "distinct words": item.distinct,
            "bytes not UTF-8": item.invalid,
            **({"set aside, as no text": item.aside} if item.aside else {}),
            **({"encoding": item.encoding} if item.encoding else {}),
            **({} if item.reused else read),  # those of an earlier run aren't known
            "source": describe_uri(f"{locations.source.rstrip('/')}/{item.name}"),
            "counts": describe_uri(f"{locations.destination.rstrip('/')}/{item.name}"),
            "ETag": item.etag,
        },
        tags={"dagster/data_version": item.etag},
    )
