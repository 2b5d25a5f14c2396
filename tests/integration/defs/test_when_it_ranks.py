"""When automation ranks again, and when it keeps the ranking that there is."""

import json

import dagster as dg
import pytest

from tests.integration.defs.projects import BAD, GOOD, OTHER
from wordfreq_dagster.files import listing_sensor


@pytest.fixture
def due(place, monkeypatch):
    """Whether the sensor asks for a run, by these settings alone."""
    monkeypatch.setattr(listing_sensor, "_SETTLE", 0)

    def asks(**settings):
        place.set(**settings)
        return place.asks("new_files")

    return asks


def test_other_options_of_one_run_are_kept_and_other_settings_are_noticed(place, instance, due):
    place.pack(a=GOOD)
    assert due()
    options = {"ops": {"ranking": {"config": {"top": 1, "min_length": 2}}}}
    assert place.run(run_config=options).success
    assert "The first 1 words of 2 characters" in place.metadata("ranking")["options"]
    assert not due()
    assert due(top=5)
    assert place.run().success
    assert not due(top=5)
    assert "The first 5 words of 3 characters" in place.metadata("ranking")["options"]
    assert due(top=5, stop_words="en")
    assert due(top=5, encoding="cp1252")
    assert due(top=5, fold=True)
    place.change(top=5, ranking=str(place.home / "elsewhere"))
    assert place.asks("new_files")
    assert place.run().success
    assert not place.asks("new_files")
    assert (place.home / "elsewhere" / "ranking.json").exists()
    assert due(top=5)


def test_a_ranking_that_does_not_say_what_it_was_made_by_leads_to_one_run(place, instance, due):
    """As one of an earlier version does."""
    place.pack(a=GOOD)
    assert place.run().success
    said = {"source listing": place.metadata("ranking")["source listing"]}
    instance.report_runless_asset_event(dg.AssetMaterialization("ranking", metadata=said))
    assert due()
    assert place.run().success
    assert not due()


@pytest.mark.parametrize("lost", ["gone", "damaged", "other names"])
def test_automation_ranks_where_the_ranking_is_lost(place, instance, lost):
    place.pack(a=GOOD, bad=BAD)
    assert not place.run().success
    assert place.run().success
    path = place.home / "ranking" / "ranking.json"
    if lost == "gone":
        path.unlink()
    elif lost == "damaged":
        path.write_text("{")
    else:
        path.write_text(path.read_text().replace("bad.gz", "other.gz"))
    run = place.materialize("ranking", tags={"dagster/from_automation_condition": "true"})
    assert run.success
    assert json.loads(path.read_text())["Metadata"]["MissingNames"] == ["bad.gz"]


def test_automation_keeps_a_ranking_of_the_same_counts(place, instance):
    """A partition counted again, same bytes: the options that somebody gave a ranking stay."""
    place.pack(a=GOOD, b=GOOD)
    assert place.run().success

    def alone(asset, **options):
        done = place.materialize(asset, **options)
        assert done.success
        assert instance.get_run_by_id(done.run_id).tags["wordfreq/source"] == f"{place.home}/source"
        return done

    automation = {"tags": {"dagster/from_automation_condition": "true"}}
    options = {"ops": {"ranking": {"config": {"top": 1, "min_length": 2}}}}
    alone("ranking", run_config=options)
    alone("word_counts", partition_key="a.gz")
    alone("ranking", **automation)
    shown = place.metadata("ranking")
    assert "The first 1 words of 2 characters" in shown["options"]
    assert shown["dagster/row_count"] == 1
    place.pack(b=OTHER)
    alone("word_counts", partition_key="b.gz")
    alone("ranking", **automation)
    assert "The first 100 words of 3 characters" in place.metadata("ranking")["options"]
