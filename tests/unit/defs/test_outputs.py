import json
import os

import pytest

from wordfreq_dagster.__main__ import main
from wordfreq_dagster.settings import (
    SettingsError,
    load_settings,
)

DEPLOYED = {
    "wordfreq-access": {
        "WordfreqSource": "s3://in/texts",
        "WordfreqDestination": "s3://out/output",
        "WordfreqPlans": "s3://out/plans",
        "WordfreqRanking": "s3://out/ranking",
        "WordfreqBatchQueue": "wordfreq",
        "WordfreqPlanDefinition": "wordfreq-plan",
        "WordfreqMigrateDefinition": "wordfreq-migrate",
        "WordfreqMergeDefinition": "wordfreq-merge",
        "WordfreqSomethingOfALaterRelease": "is no mistake",
        "OperatorPolicyArn": "arn:aws:iam::1:policy/x",
    },
    "wordfreq-network": {},
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in list(os.environ):
        if name.startswith("WORDFREQ_"):
            monkeypatch.delenv(name)


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps(DEPLOYED))
    monkeypatch.setenv("WORDFREQ_OUTPUTS", str(path))
    return path


def test_one_file_makes_all_settings_of_a_deployment(outputs):
    settings = load_settings()
    assert settings.source == "s3://in/texts"
    assert settings.batch_queue == "wordfreq"
    assert not settings.embedded


def test_a_variable_wins_over_the_file(outputs, monkeypatch):
    monkeypatch.setenv("WORDFREQ_SOURCE", "s3://other/texts")
    assert load_settings().source == "s3://other/texts"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "make deploy"),
        ("{", "can't be read"),
        ("[]", "no outputs"),
        ('{"a": {"b": "c"}}', "no setting"),
        ('{"a": {"WordfreqSource": "s3://a/"}, "b": {"WordfreqSource": "s3://b/"}}', "differ"),
    ],
)
def test_a_file_that_is_no_use_is_one_clear_error(outputs, content, says):
    if content is None:
        outputs.unlink()
    else:
        outputs.write_text(content)
    with pytest.raises(SettingsError, match=says) as error:
        load_settings()
    assert "WORDFREQ_OUTPUTS" in str(error.value)
    assert str(outputs) in str(error.value)


def test_a_number_in_two_stacks_is_one_setting(outputs):
    twice = {"WordfreqPricePerVcpuHour": 0.02}
    outputs.write_text(json.dumps(DEPLOYED | {"one": twice, "two": twice}))
    assert load_settings().price_per_vcpu_hour == 0.02


def test_the_command_prints_lines_for_a_shell(outputs, capsys):
    assert main(["outputs", str(outputs)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "export WORDFREQ_BATCH_QUEUE=wordfreq" in lines
    assert len(lines) == 8
