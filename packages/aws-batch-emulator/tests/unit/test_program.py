"""The program's options: what is wrong is said with the option's name and exit code 2."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from aws_batch_emulator.__main__ import build_parser, main

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--vcpus", "0"], "--vcpus: must be from 0.25 to"),
        (["--vcpus", "-1"], "--vcpus: must be from 0.25 to"),
        (["--vcpus", "nan"], "--vcpus: must be from 0.25 to"),
        (["--vcpus", "many"], "--vcpus: invalid number value: 'many'"),
        (["--memory", "0"], "--memory: must be from 4 to"),
        (["--port", "70000"], "--port: must be from 0 to 65535, not 70000"),
        (["--idle-exit", "nan"], "--idle-exit: must be from 0.0 to"),
        (["--images", "{"], "--images: Expecting property name"),
        (["--images", '{"a": [1]}'], "--images: `images` is a JSON object of lists of words"),
        (["--images", "[]"], "--images: `images` is a JSON object of lists of words"),
        (["--image", "a='b"], "--images: No closing quotation"),
        (["--image", "a="], "--images: a=: write it as NAME=COMMAND"),
        (["--image", "a=b", "--runner", "simulated"], "are for --runner subprocess only"),
        (["--images", '{"a": ["b"]}', "--runner", "container"], "for --runner subprocess only"),
        (["--container-argument", "x"], "--container-argument is for --runner container only"),
    ],
)
def test_wrong_usage(
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aws_batch_emulator.__main__.serve", lambda *_, **__: None)
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_a_taken_port_is_said_in_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)  # they are this process's
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    assert (
        f"port {port} of 127.0.0.1: it is in use; choose another, or 0" in capsys.readouterr().err
    )


def test_the_guide_has_every_option() -> None:
    table = GUIDE.read_text("utf-8").partition("| option | meaning |")[2].partition("\n\n")[0]
    options = [name for action in build_parser()._actions for name in action.option_strings]
    assert [name for name in options if f"`{name}" not in table] == ["-h", "--help"]
