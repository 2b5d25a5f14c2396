"""What the demo leaves for a shell and for the UI: the same instance, source and settings."""

import subprocess

from demo.word_frequency import last_source, prepare


def test_a_shell_and_the_ui_continue_with_what_the_demo_had(tmp_path, monkeypatch):
    for name in ("DAGSTER_HOME", "WORDFREQ_SOURCE", "WORDFREQ_STOP_WORDS"):
        monkeypatch.delenv(name, raising=False)
    assert last_source(tmp_path) is None
    prepare(tmp_path, "my texts", files=1)
    assert last_source(tmp_path) == "my texts"
    shell = f". {tmp_path}/env && echo $DAGSTER_HOME $WORDFREQ_SOURCE $WORDFREQ_STOP_WORDS"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path}/dagster my texts en\n"

    prepare(tmp_path, None, files=1)  # the texts of the demo again
    assert last_source(tmp_path) is None
