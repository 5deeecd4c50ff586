"""Shards of conversations: the same from a seed, whole or an error; their report, the command, the features."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from duplex_spoken import AGENT, USER, Echoing, dialogue, plain, staged, talks
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.agent.cli import data_duplex
from dragoman.agent.duplex.answers import Answers
from dragoman.agent.duplex.factory import Factory
from dragoman.agent.duplex.features import Ear, check_features, load_features, make_features
from dragoman.agent.duplex.frames import FRAME
from dragoman.agent.duplex.mixing import Take
from dragoman.agent.duplex.prosody import PROSODY
from dragoman.agent.duplex.report import Report, histogram, save_sample, timeline
from dragoman.agent.duplex.store import load_conversations, save_conversations, shard_path, shards
from dragoman.audio.levels import rms
from dragoman.audio.types import INPUT_RATE, DragomanError

# Shards


def made(folder: Path, seed: int = 1, numbers: Sequence[int] = (1,), scripts: int | None = None) -> list[Take]:
    async def run() -> list[Take]:
        answers = Answers(folder / "answers.sqlite", Echoing(), "m")
        try:
            cast = (USER, AGENT)
            factory = Factory(folder, seed, talks(), answers, lambda rng, split: cast, size=2, scripts=scripts)
            return [take for number in numbers for take in factory.perform(number, await factory.write(number))]
        finally:
            answers.close()

    return asyncio.run(run())


def test_the_same_seed_makes_the_same_conversations(tmp_path: Path) -> None:
    """To the sample, and another seed makes others; they come back from their shard as they were."""
    first, again, other = made(tmp_path / "a"), made(tmp_path / "b"), made(tmp_path / "c", seed=2)
    [path] = shards(tmp_path / "a", "test")
    assert path == shard_path(tmp_path / "a", "test", 1, 1)
    loaded = list(load_conversations(path))
    for one, two, three in zip(first, again, loaded, strict=True):
        assert one.conversation == two.conversation == three
        np.testing.assert_array_equal(one.conversation.pcm, two.conversation.pcm)
        np.testing.assert_allclose(one.conversation.pcm, three.pcm, atol=1e-4)
        assert len(three.pcm) == three.frames * FRAME
        assert np.abs(three.pcm).max() > 0
    assert [take.conversation for take in first] != [take.conversation for take in other]
    silent = list(load_conversations(path, sound=False))
    assert silent == loaded
    assert [talk.frames for talk in silent] == [talk.frames for talk in loaded]


def test_echoes_come_back_as_they_were(tmp_path: Path) -> None:
    """Each to its conversation; who wants no sound need not load them, and shards of before have none."""
    path = tmp_path / "test-1-00000.npz"
    talks = [staged(dialogue(plain("Hello."), plain("Good day to you.")), str(seed)).conversation for seed in range(12)]
    assert 1 < sum(talk.echo is not None for talk in talks) < 11
    save_conversations(path, talks)
    for talk, loaded in zip(talks, load_conversations(path), strict=True):
        assert (talk.echo is None) == (loaded.echo is None) == (talk.echo_db is None)
        quiet = loaded.unechoed()
        assert quiet.echo_db is None
        if talk.echo is None or loaded.echo is None:
            assert quiet is loaded
        else:
            np.testing.assert_allclose(talk.echo, loaded.echo, atol=1e-4)
            first = round(talk.agent[0].start_s * INPUT_RATE)
            assert rms(talk.echo[:first]) < 0.01 * rms(talk.echo)
            np.testing.assert_allclose(quiet.pcm, talk.pcm - talk.echo, atol=1e-4)
    assert all(talk.echo is None for talk in load_conversations(path, sound=False))
    with np.load(path) as data:
        np.savez(path, index=data["index"], pcm=data["pcm"])
    assert all(talk.echo is None for talk in load_conversations(path))
    with np.load(path) as data:
        np.savez(path, index=data["index"], pcm=data["pcm"], echo=np.zeros(5, np.int16))
    with pytest.raises(DragomanError, match="samples of echo"):
        list(load_conversations(path))


def test_dialogues_are_spoken_anew(tmp_path: Path) -> None:
    """The words of another seed's shard, with other pauses, under names of their own."""
    first, anew = made(tmp_path), made(tmp_path, seed=2, scripts=1)
    for one, two in zip(first, anew, strict=True):
        assert one.conversation.id != two.conversation.id
        assert one.conversation.id == two.conversation.id.replace("-2-", "-1-")
        assert one.conversation.context == two.conversation.context
        texts = [[said.text for said in take.conversation.agent if said.kind == "reply"] for take in (one, two)]
        assert texts[0] == texts[1]
        assert one.conversation.pcm.shape != two.conversation.pcm.shape
    assert len(shards(tmp_path, "test")) == 2


@pytest.mark.parametrize("damage", ["cut", "nothing", "foreign"])
def test_a_broken_shard_is_an_error(tmp_path: Path, damage: str) -> None:
    """It says which file and what to do, whatever is wrong with it."""
    path = tmp_path / "test-1-00000.npz"
    save_conversations(path, [staged(dialogue(plain("Hello."))).conversation])
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[:-5000])
        case "nothing":
            path.write_bytes(b"")
        case _:
            index = np.frombuffer(json.dumps([{"samples": 0}]).encode(), np.uint8)
            np.savez(path, pcm=np.zeros(0, np.int16), index=index)
    with pytest.raises(DragomanError, match=r"test-1-00000\.npz.*delete it"):
        list(load_conversations(path))


def test_a_sound_of_broken_frames_is_not_saved(tmp_path: Path) -> None:
    """Labels and sound could not fit."""
    talk = staged(dialogue(plain("Hello."))).conversation
    with pytest.raises(ValueError, match="not whole frames"):
        save_conversations(tmp_path / "test-1-00000.npz", [replace(talk, pcm=talk.pcm[:-1])])
    assert not list(tmp_path.iterdir())


def test_the_report_counts_what_is_there(tmp_path: Path) -> None:
    """Kinds, labels, hours; the text has the same figures, and a sample is there to listen to."""
    take = staged(dialogue(plain("Tell me."), plain("Wait, stop it now.", breaks_in=0.5), interrupted=[6]))
    report = Report()
    report.add(take.conversation)
    summary = report.summary()
    assert summary["user"] == {"turn": 1, "interruption": 1}
    assert summary["labels"] == {
        "SIL": take.conversation.frames - 3,
        "BOS": 2,
        "STP": 1,
    }
    assert summary["hours"] == pytest.approx(take.conversation.seconds / 3600)
    assert "turn 1, interruption 1" in report.text()
    assert json.loads(json.dumps(summary)) == summary
    path = save_sample(tmp_path / "samples", take)
    assert path.is_file()
    lines = path.with_suffix(".txt").read_text()
    assert lines == timeline(take.conversation)
    assert lines.index("BOS") < lines.index("agent reply") < lines.index("STP")
    assert "user interruption: Wait, stop it now." in lines


def test_a_histogram_counts_between_its_edges() -> None:
    """The last edge belongs to the last bin."""
    lines = histogram("t", [0.1, 0.2, 0.5, 1.0], (0.0, 0.2, 1.0))
    assert [int(line.split()[3]) for line in lines[1:]] == [1, 3]


# The command


def test_the_command_makes_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three shards, one for each split; asked again, it makes none, and reports the same."""
    responder = Echoing()

    async def opened(*_: object, **__: object) -> Echoing:
        return responder

    monkeypatch.setattr(data_duplex, "open_responder", opened)
    monkeypatch.setattr(data_duplex, "casting", lambda *_, **__: lambda rng, split: (USER, AGENT))
    monkeypatch.setattr(data_duplex, "installed_talks", talks)
    monkeypatch.setattr(data_duplex, "Factory", partial(Factory, size=1))
    options = ["data", "duplex", "--folder", str(tmp_path), "--hours", "0.38", "--llm", "scripted", "--json"]
    runs = [CliRunner().invoke(app, options) for _ in range(2)]
    assert [run.exit_code for run in runs] == [0, 0]
    first, second = ([json.loads(line) for line in run.stdout.splitlines()] for run in runs)
    assert [line["type"] for line in first] == ["shard", "shard", "shard", "summary"]
    assert second == first[-1:]
    assert first[-1]["conversations"] == {"drafter": 1, "verifier": 1, "test": 1}
    assert len(responder.prompts) == first[-2]["answers_asked"]
    assert [path.name for path in shards(tmp_path)] == [
        "drafter-1-00000.npz",
        "verifier-1-00002.npz",
        "test-1-00001.npz",
    ]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["hours"] == first[-1]["hours"]
    assert len(list((tmp_path / "samples").glob("*.wav"))) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hours", "-1"], "are numbers of 0 or more"),
        (["--hours", "nan"], "are numbers of 0 or more"),
        (["--hours", "0"], "no conversations are there"),
        (["--kokoro-share", "2"], "from 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_an_error(tmp_path: Path, options: list[str], message: str) -> None:
    """One line, before any model is loaded."""
    done = CliRunner().invoke(app, ["data", "duplex", "--folder", str(tmp_path), *options])
    assert done.exit_code == 1
    assert message in done.stderr


# Features


@pytest.fixture(scope="module")
def ear() -> Ear:
    from dragoman.agent.duplex.features import open_ear

    return open_ear()


def test_features_are_kept_for_one_ear(ear: Ear, tmp_path: Path) -> None:
    """One block for each frame, kept beside the shard; those of another ear are refused, and made anew."""
    talk = staged(dialogue(plain("Hello."))).conversation
    shard = tmp_path / "test-1-00000.npz"
    save_conversations(shard, [talk, talk])
    with pytest.raises(DragomanError, match="no features yet"):
        load_features(shard, ear.digest)
    path = make_features(shard, ear)
    one, two = load_features(shard, ear.digest)
    assert one.features.shape == (talk.frames, 8, 384)
    assert one.prosody.shape == (talk.frames, 8, PROSODY)
    assert one.features.dtype == one.prosody.dtype == np.float16
    np.testing.assert_array_equal(one.features, two.features)
    np.testing.assert_array_equal(one.prosody, two.prosody)
    check_features(shard, [talk.frames, talk.frames], [one, two])
    with pytest.raises(DragomanError, match="other conversations"):
        check_features(shard, [talk.frames], [one, two])
    with pytest.raises(DragomanError, match="another ear"):
        load_features(shard, "0" * 16)
    before = path.stat().st_mtime_ns
    assert make_features(shard, ear).stat().st_mtime_ns == before
    assert shards(tmp_path) == [shard]
    save_conversations(shard, [talk])
    make_features(shard, ear)
    assert len(load_features(shard, ear.digest)) == 1
    save_conversations(shard, [talk, talk])
    make_features(shard, Ear(ear.model, "0" * 16))
    assert len(load_features(shard, "0" * 16)) == 2
    path.write_bytes(b"nothing")
    with pytest.raises(DragomanError, match="delete it"):
        load_features(shard, ear.digest)
