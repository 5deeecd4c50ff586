"""What users say in conversations, cut out for the ear."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.agent.duplex.conversation import Conversation
from dragoman.agent.duplex.store import save_conversations
from dragoman.agent.duplex.turn_clips import clips_of
from dragoman.asr.causal.corpus import load_clips, save_clips, shard_path, shards
from dragoman.audio.types import INPUT_RATE
from tests.duplex_small import conversation


def sounding() -> Conversation:
    """Each sample tells its second."""
    made = conversation()
    pcm = (np.arange(len(made.pcm)) / INPUT_RATE / 100).astype(np.float32)
    return replace(made, pcm=pcm)


def test_each_turn_is_a_clip_with_its_words() -> None:
    """A little sound before it, some silence after it, and the times count from its start."""
    made = sounding()
    clips = list(clips_of(made))
    assert [clip.text for clip in clips] == ["is it", "no"]
    for clip, event in zip(clips, made.user, strict=True):
        start = float(clip.pcm[0]) * 100
        assert 0 <= start < event.start_s
        assert start + clip.seconds > event.end_s
        for word, said in zip(clip.words, event.words, strict=True):
            assert word.start + start == pytest.approx(said.start, abs=1e-3)
            assert word.end + start == pytest.approx(said.end, abs=1e-3)
        assert clip.heard
        assert clip.speaker == made.user_voice


def test_read_out_numbers_and_what_is_too_long_are_left_out() -> None:
    """The ear writes figures, and hears half a minute."""
    made = sounding()
    first, second = made.user
    assert not list(clips_of(replace(made, user=(replace(first, situation="number"), replace(second, end_s=60.0)))))[1:]
    assert [clip.text for clip in clips_of(replace(made, user=(replace(first, situation="number"), second)))] == ["no"]


def test_turns_are_made_by_a_command(tmp_path: Path) -> None:
    """Once, also beside the speech of the same numbers; and it says what is missing."""
    speech = shard_path(tmp_path / "turns", "en", 3, 4)
    save_clips(speech, [])
    save_conversations(tmp_path / "talks" / "drafter-3-00004.npz", [sounding()])
    save_conversations(tmp_path / "talks" / "test-3-00004.npz", [replace(sounding(), split="test")])
    command = [
        "data",
        "turns",
        "--conversations",
        str(tmp_path / "talks"),
        "--folder",
        str(tmp_path / "turns"),
        "--json",
    ]
    for _ in range(2):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout.splitlines()[-1])["shards"] == 1
    [path] = set(shards(tmp_path / "turns", ["en"])) - {speech}
    assert [clip.text for clip in load_clips(path)] == ["is it", "no"]
    none = CliRunner().invoke(app, ["data", "turns", "--conversations", str(tmp_path / "no"), "--json"])
    assert none.exit_code == 1
    assert "dragoman data duplex" in none.output
