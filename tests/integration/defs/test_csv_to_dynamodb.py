"""The job `csv_to_dynamodb`, from upload to table, on the embedded AWS Batch and a real API."""

import errno
import json
import os

import dagster as dg

from tests.instances import local_instance
from tests.integration.defs.projects import SAMPLE, checks, failures
from wordfreq_dagster.definitions import build_definitions
from wordfreq_dagster.settings import Settings


def test_new_replaced_and_removed_uploads(shop):
    shop.write("sample.csv", SAMPLE)
    shop.write("more/m.CSV", "ProductDescription,ProductId,ProductName\nx,3,name3\n")
    shop.write("readme.txt", "no CSV")

    first = shop.run()
    assert first.success, failures(first)
    assert shop.items == {"1": "name1", "2": "name2", "3": "name3"}
    assert shop.partitions == shop.green == {"sample.csv", "more/m.CSV"}
    assert checks(first) == {
        "every_row_accounted_for": True,
        "few_rejects": True,
        "every_load_reported": True,
    }
    assert shop.figures()["items written"] == 3
    assert shop.figures()["batch/tasks"] == 2  # an array job of two
    assert "readme.txt" in shop.figures()["files left out"]

    again = shop.run()
    assert again.success
    assert shop.figures()["files loaded"] == 0
    assert shop.figures()["files unchanged"] == 2

    # replaced: row 1 is other, row 2 is gone from the file
    shop.write("sample.csv", "ProductId,ProductName,ProductDescription\n1,new,d\n")
    assert shop.run().success
    assert shop.figures()["files loaded"] == 1
    assert shop.figures()["batch/tasks"] == 1  # a plain job
    assert shop.items == {"1": "new", "2": "name2", "3": "name3"}

    (shop.inputs / "more" / "m.CSV").unlink()
    assert shop.run().success
    assert shop.partitions == {"sample.csv"}
    assert shop.items == {"1": "new", "2": "name2", "3": "name3"}  # items stay
    assert not (shop.home / "rejects" / "more" / "m.CSV").exists()


def test_mirrored_the_table_holds_what_the_uploads_hold(tmp_path, uploads):
    more = {"csv_removed": "mirror", "csv_pack": 1 << 40}
    shop = uploads(**more)
    shop.write("a.csv", SAMPLE)
    shop.write("b.csv", SAMPLE.replace("1,", "8,").replace("2,", "9,"))
    os.utime(shop.inputs / "a.csv", (1e9, 1e9))
    assert shop.run().success
    assert shop.figures()["items deleted"] == 0
    shop.write("a.csv", SAMPLE.rpartition("\n")[0])
    (shop.inputs / "b.csv").unlink()
    tried = shop.run(run_config={"ops": {"csv_rows": {"config": {"dry_run": True}}}})
    (event,) = tried.asset_observations_for_node("csv_rows")
    assert event.metadata["items that would be deleted"].value == 2  # a.csv isn't loaded yet
    assert len(shop.items) == 4
    assert not checks(shop.again("a.csv"))["every_row_accounted_for"]  # it deletes nothing
    assert len(shop.items) == 4
    done = shop.run()
    assert done.success
    assert checks(done)["every_row_accounted_for"]
    assert shop.items == {"1": "name1"}
    assert shop.figures()["items deleted"] == 3
    assert "`b.csv` 2 items" in shop.figures()["items deleted by upload"]
    assert shop.run().success
    assert "items deleted" not in shop.figures()  # nothing has changed: no job


def test_what_was_loaded_and_never_reported_is_reported_with_its_rows(shop):
    """As after a run that was killed between loading and reporting, or on a new instance."""
    shop.write("sample.csv", SAMPLE + "\n,no key,d\n")
    assert shop.run().success
    with local_instance() as shop.instance:
        assert shop.run().success
        assert shop.figures()["files loaded"] == 0
        assert shop.partitions == shop.green == {"sample.csv"}
        figures = shop.figures("sample.csv")
    assert figures["rows read"] == 3
    assert figures["items written"] == figures["dagster/row_count"] == 2
    assert figures["rows rejected"] == 1
    assert "seconds" not in figures  # not known of an earlier run


def test_a_chosen_upload_is_loaded_again(shop):
    shop.write("a.csv", SAMPLE)
    shop.write("b.csv", SAMPLE.replace("1,", "8,").replace("2,", "9,"))
    assert shop.run().success
    for key in shop.items:
        shop.dynamodb.delete_item(TableName=shop.table, Key={"ProductId": {"S": key}})
    result = shop.again("a.csv")
    assert result.success, failures(result)
    assert shop.items == {"1": "name1", "2": "name2"}
    assert set(checks(result)) == {
        "every_row_accounted_for",
        "few_rejects",
        "every_load_reported",
    }


def test_a_bad_file_fails_alone_and_rejects_are_shown(shop):
    rows = "".join(f"{n},name,d\n" for n in range(50))
    shop.write("good.csv", SAMPLE.split("\n")[0] + "\n" + rows + ",empty key,d\n50,short\n")
    shop.write("latin.csv", b"ProductId,ProductName,ProductDescription\n1,M\xfcller,d\n")
    result = shop.run()
    assert not result.success
    assert shop.green == {"good.csv"}
    assert "latin.csv is not UTF-8: line 2" in failures(result)
    assert checks(result) == {
        "every_row_accounted_for": False,
        "few_rejects": False,
        "every_load_reported": True,
    }
    figures = shop.figures("good.csv")
    assert figures["rows read"] == 52
    assert (figures["items written"], figures["rows rejected"]) == (50, 2)
    shown = figures["first rejects"]
    assert [row["line"] for row in shown] == [52, 53]
    assert "ProductId is empty" in shown[0]["reason"]
    assert figures["sample of items"][0]["Filename"] == "good.csv"
    rejects = (shop.home / "rejects" / "good.csv").read_text()
    assert "50,short" in rejects

    shop.write("latin.csv", SAMPLE.replace("1,", "100,"))
    result = shop.run()
    assert result.success
    assert shop.figures()["files loaded"] == 1
    assert checks(result)["few_rejects"] is False  # good.csv still has its rejects
    result = shop.again("latin.csv")
    assert checks(result)["few_rejects"] is False
    shop.write("good.csv", SAMPLE)
    assert checks(shop.run())["few_rejects"] is True


def test_small_uploads_share_a_container_and_keys_they_share_are_shown(tmp_path, uploads):
    pack = Settings.model_fields["csv_pack"].default
    shop = uploads(csv_pack=pack)
    for number in range(12):
        shop.write(f"{number:02}.csv", SAMPLE.replace("name1", f"v{number}"))
        moment = 1_700_000_000 + 1000 * ((number + 5) % 12)
        os.utime(shop.inputs / f"{number:02}.csv", (moment, moment))
    result = shop.run()
    assert result.success, failures(result)
    assert shop.items["1"] == "v6"  # the newest, which isn't the last by name
    assert shop.figures()["batch/tasks"] == 1
    assert shop.figures()["keys that several uploads hold"] == 22
    assert shop.figures("07.csv")["rows of newer uploads' keys"] == 2


def test_two_bad_uploads_of_two_hundred_are_red_and_not_tried_again_until_something_changes(
    tmp_path, uploads
):
    header = SAMPLE.split("\n")[0]
    latin = f"{header}\nm,Müller,d\n".encode("latin-1")
    rules = tmp_path / "rules.toml"
    rules.write_text("")
    more = {"csv_settings": str(rules), "csv_pack": 1 << 40, "csv_write": "always"}
    shop = uploads(**more)
    for number in range(198):
        shop.write(f"{number:03}.csv", f"{header}\n{number},name,d\n")
    shop.write("050-latin.csv", latin)
    shop.write("150-short.csv", f"{header}\n1,short\n")
    first = shop.run()
    assert not first.success
    for says in (
        "2 of 200 files could not be loaded",
        "050-latin.csv is not UTF-8: line 2, byte 4",
        "150-short.csv: none of its 1 rows can be loaded; the first: line 2: it has 2 fields",
    ):
        assert says in failures(first), failures(first)
    assert len(shop.items) == 198
    assert shop.red == {"050-latin.csv", "150-short.csv"}
    assert len(shop.green) == 198

    def tried():
        receipts = (shop.home / "plans").glob("*-csv/*/ingest-*.json")
        newest = max(receipts, key=lambda path: path.stat().st_mtime)
        return {item["Name"] for item in json.loads(newest.read_bytes())["Items"]}

    assert len(tried()) == 200
    shop.write("new.csv", f"{header}\nnew,name,d\n")
    later = shop.run()
    assert later.success  # what is known to be bad doesn't fail the runs of others
    assert tried() & shop.red == set()
    assert shop.items["new"] == "name"
    assert shop.red == {"050-latin.csv", "150-short.csv"}
    assert shop.figures()["files failed"] == 2
    assert "050-latin.csv is not UTF-8" in shop.figures()["bad CSVs"]
    assert checks(later)["every_row_accounted_for"] is False

    assert not shop.again("050-latin.csv").success  # chosen: tried, and as bad as before
    shop.write("150-short.csv", f"{header}\nlong,name,d\n")  # other bytes
    assert shop.run().success
    assert shop.items["long"] == "name"
    assert shop.red == {"050-latin.csv"}

    rules.write_text('[prefix."050-"]\nencoding = "cp1252"\n')  # a setting
    last = shop.run()
    assert last.success, failures(last)
    assert shop.figures()["files loaded"] == 1
    assert shop.items["m"] == "Müller"
    assert shop.red == set()
    assert checks(last)["every_row_accounted_for"] is True


def test_a_missing_table_is_named(shop):
    shop.write("a.csv", SAMPLE)
    shop.dynamodb.delete_table(TableName=shop.table)
    result = shop.run()
    assert not result.success
    assert f"table {shop.table} (us-east-1) doesn't exist" in failures(result)
    assert shop.green == set()


def test_uploads_that_cannot_be_read_now_keep_what_is_known_of_them(uploads, monkeypatch):
    shop = uploads()
    shop.write("a.csv", SAMPLE)
    shop.write("secret/b.csv", SAMPLE.replace("1,", "8,").replace("2,", "9,") + "\nshort\n")
    assert shop.run().success
    scandir = os.scandir

    def refused(path="."):
        if str(path).rstrip("/").endswith("uploads/secret"):
            raise OSError(errno.EIO, "Input/output error")
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refused)
        assert shop.run().success
    assert "`secret/`" in shop.figures()["files left out"]
    assert shop.partitions == shop.green == {"a.csv", "secret/b.csv"}
    assert "short" in (shop.home / "rejects" / "secret" / "b.csv").read_text()
    assert shop.run().success
    assert shop.figures()["files loaded"] == 0


def test_observing_shows_a_change(shop):
    shop.write("a.csv", SAMPLE)
    versions = []
    for text in (SAMPLE, SAMPLE, SAMPLE + "\n3,c,c"):
        if versions:
            shop.write("b.csv", text) if len(versions) == 2 else None
        assert shop.materialize("csv_uploads").success
        event = shop.instance.fetch_observations(dg.AssetKey("csv_uploads"), limit=1).records[0]
        versions.append(json.dumps(event.event_log_entry.asset_observation.tags))
    assert versions[0] == versions[1] != versions[2]
    # the sensor and a run observe what is new to them, in the same words
    sensor = shop.definitions.resolve_sensor_def("new_csv_uploads")
    shop.write("c.txt", "no CSV")
    for path in shop.inputs.iterdir():  # none was written just now
        os.utime(path, (1e9, 1e9))
    with dg.build_sensor_context(instance=shop.instance) as context:
        (seen,) = sensor.evaluate_tick(context).asset_events
    shop.instance.report_runless_asset_event(seen)  # as the daemon does
    with dg.build_sensor_context(instance=shop.instance) as context:
        assert sensor.evaluate_tick(context).asset_events == []
    assert seen.metadata["files"].value == 3
    shop.write("d.csv", SAMPLE)
    result = shop.run()
    (event,) = result.asset_observations_for_node("csv_rows")
    assert event.asset_key == seen.asset_key
    assert event.metadata["files"].value == 4


def test_without_a_table_there_is_no_such_pipeline(tmp_path, monkeypatch):
    for name in ("WORDFREQ_CSV_TABLE", "WORDFREQ_CSV_SOURCE"):
        monkeypatch.delenv(name, raising=False)

    def there(**settings):
        found = build_definitions(Settings(home=str(tmp_path), **settings))
        jobs = {job.name for job in found.resolve_all_job_defs()}
        assets = {key.to_user_string() for key in found.resolve_all_asset_keys()}
        return "csv_to_dynamodb" in jobs, {"csv_rows", "csv_uploads"} <= assets

    assert there() == (False, False)
    assert there(csv_table="products") == (True, True)
