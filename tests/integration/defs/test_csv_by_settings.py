"""Settings of CSVs in the job `csv_to_dynamodb`: changed, replaced, tried by a dry run."""

import os

import dagster as dg

from tests.integration.defs.projects import SAMPLE, checks, failures
from wordfreq_dagster.defs.csv_to_dynamodb import resource
from wordfreq_dagster.files import listing_sensor, places


def test_a_file_with_too_many_rejects_is_refused_if_so_set(tmp_path, uploads):
    shop = uploads(csv_refuse_above="10%")
    shop.write("bad.csv", SAMPLE + "\n,no key,x\n")
    result = shop.run()
    assert not result.success
    assert "more than allowed, so nothing of it was" in failures(result)
    assert shop.items == {}


def test_other_settings_load_the_same_files_again(shop, ministack):
    shop.write("a.csv", SAMPLE + "\n")
    assert shop.run().success
    shop.change(csv_columns="ProductId,ProductName,X")
    result = shop.run()
    assert not result.success
    assert "'X' is missing" in failures(result)


def test_other_settings_are_noticed_and_those_that_cannot_be_used(tmp_path, uploads, monkeypatch):
    monkeypatch.setattr(listing_sensor, "_SETTLE", 0)
    rules = tmp_path / "rules.toml"
    rules.write_text("")
    shop = uploads(csv_settings=str(rules))
    shop.write("a.csv", SAMPLE)

    def due(**settings):
        shop.change(**settings)
        return shop.asks("new_csv_uploads")

    assert due()
    assert shop.run().success
    assert not due()
    for name, value in {
        "csv_write": "absent",
        "csv_refuse_above": "10%",
        "csv_removed": "mirror",
        "csv_rejects": str(tmp_path / "elsewhere"),
    }.items():
        before = getattr(shop.settings, name)
        assert due(**{name: value}), name
        assert not due(**{name: before}), name
    rules.write_text("empty = 'absent'")
    assert due()
    assert shop.run().success
    assert shop.figures()["files loaded"] == 1
    assert not due()

    rules.write_text("columns = 1")  # the run fails, and says why
    assert due()
    assert "columns must be a text" in failures(shop.run())
    rules.write_text("empty = 'absent'")
    assert shop.run().success
    assert not due()

    # an earlier version didn't say what it had loaded by
    said = {"source listing": shop.figures()["source listing"]}
    shop.instance.report_runless_asset_event(dg.AssetMaterialization("csv_rows", metadata=said))
    assert due()
    assert shop.run().success
    assert not due()


def test_a_settings_file_that_is_replaced_meanwhile_is_that_of_the_next_run(
    tmp_path, uploads, monkeypatch
):
    rules = tmp_path / "rules.toml"
    rules.write_text("")
    shop = uploads(csv_settings=str(rules))
    shop.write("a.csv", SAMPLE + "\n3,,")
    build = places.build_plan

    def replaced(**options):
        made = build(**options)
        rules.write_text("empty = 'null'")
        return made

    with monkeypatch.context() as patch:
        patch.setattr(places, "build_plan", replaced)
        first = shop.run()
    assert first.success, failures(first)
    assert shop.items["3"] == ""
    assert shop.run().success
    found = shop.dynamodb.get_item(TableName=shop.table, Key={"ProductId": {"S": "3"}})
    assert found["Item"]["ProductName"] == {"NULL": True}


def test_a_dry_run_lists_the_uploads_no_more_often_than_it_has_to(uploads, monkeypatch):
    shop = uploads(csv_removed="mirror")
    shop.write("a.csv", SAMPLE)
    listed = []
    for module, name in ((places, "build_plan"), (resource, "is_mirrored")):
        known = getattr(module, name)

        def counted(*arguments, known=known, name=name, **options):
            listed.append(name)
            return known(*arguments, **options)

        monkeypatch.setattr(module, name, counted)
    tried = shop.run(run_config={"ops": {"csv_rows": {"config": {"dry_run": True}}}})
    assert tried.success, failures(tried)
    assert listed == ["build_plan", "is_mirrored"]
    assert not checks(tried)["every_row_accounted_for"]


def test_items_are_written_in_batches_if_so_set(shop):
    shop.write("a.csv", SAMPLE)
    assert shop.run().success
    assert shop.figures("a.csv")["requests"] == 2
    shop.change(csv_write="always")
    assert shop.again("a.csv").success
    assert shop.figures("a.csv")["requests"] == 1


def test_a_dry_run_observes_what_a_run_then_does_each_prefix_by_its_settings(tmp_path, uploads):
    rules = tmp_path / "rules.toml"
    rules.write_text('[prefix."excel/"]\ndelimiter = "semicolon"\nencoding = "cp1252"\n')
    shop = uploads(csv_settings=str(rules), csv_pack=1 << 20)
    shop.write("sample.csv", SAMPLE + "\nshort\n")
    shop.write(
        "excel/m.csv",
        "ProductId;ProductName;ProductDescription\n2;Größe;x\n3;Größe;\n".encode("cp1252"),
    )
    os.utime(shop.inputs / "excel/m.csv", (1e9, 1e9))  # the older of two with the same key
    shop.write("bad.csv", "nothing known\n1\n")
    config = {"ops": {"csv_rows": {"config": {"dry_run": True}}}}
    tried = shop.run(run_config=config)
    assert tried.success, failures(tried)
    assert shop.items == {}
    assert shop.green == set()
    (event,) = tried.asset_observations_for_node("csv_rows")
    seen = {key: value.value for key, value in event.metadata.items()}
    assert "header doesn't fit" in seen["CSVs that can't be loaded"]
    assert "it has 1 field" in seen["first rejects"]
    assert seen["keys in several CSVs"] == 1
    loaded = shop.run()
    assert not loaded.success  # bad.csv
    assert shop.items == {"1": "name1", "2": "name2", "3": "Größe"}
    figures = [shop.figures(partition) for partition in shop.green]
    for key in ("rows read", "rows rejected", "write units"):
        assert seen[key] == sum(each[key] for each in figures), key

    # A load depends on the settings of its own prefix, and not on how it was written.
    rules.write_text(rules.read_text() + 'empty = "absent"\n')
    shop.change(csv_write="always", csv_max_write_units=99)
    assert shop.run().success
    assert (shop.figures()["files loaded"], shop.figures()["files unchanged"]) == (1, 1)
    assert "seconds" in shop.figures("excel/m.csv")
