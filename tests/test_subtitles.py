"""Subtitle files."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.agent.subtitles import SubtitleFile, cues
from dragoman.audio.types import DragomanError


def test_subrip(tmp_path: Path) -> None:
    """Numbers, times with a comma, text; a short cue stands as long as it takes to read, but not into the next."""
    path = tmp_path / "a.srt"
    with SubtitleFile(path) as file:
        file.add(0.5, 0.6, "Bom dia.")
        file.add(3661.25, 3663.0, "Tudo bem?")
        file.add(3662.0, 3662.1, "Sim & não")
    assert path.read_text() == (
        "1\n00:00:00,500 --> 00:00:01,500\nBom dia.\n\n"
        "2\n01:01:01,250 --> 01:01:02,000\nTudo bem?\n\n"
        "3\n01:01:02,000 --> 01:01:03,000\nSim & não\n\n"
    )


def test_words_that_follow_each_other_fast_stand_together(tmp_path: Path) -> None:
    """None for a time in which it can't be seen, as long as there is room; and none is lost where there is not."""
    path = tmp_path / "a.srt"
    long = "Uma frase que enche as duas linhas desta legenda até ao fim da segunda."
    with SubtitleFile(path) as file:
        file.add(1.0, 1.0, "Certo.")
        file.add(1.06, 1.3, "Ok.")
        file.add(1.7, 2.0, "Mas, sobretudo,")
        file.add(1.9, 7.0, long)
    assert path.read_text() == (
        "1\n00:00:01,000 --> 00:00:01,700\nCerto. Ok.\n\n"
        "2\n00:00:01,700 --> 00:00:01,900\nMas, sobretudo,\n\n"
        "3\n00:00:01,900 --> 00:00:07,000\nUma frase que enche as duas linhas desta\n"
        "legenda até ao fim da segunda.\n\n"
    )


def test_webvtt(tmp_path: Path) -> None:
    """A heading, times with a point, marks escaped."""
    path = tmp_path / "a.vtt"
    with SubtitleFile(path) as file:
        file.add(0.0, 2.0, "a < b & c --> d")
    assert path.read_text() == "WEBVTT\n\n1\n00:00:00.000 --> 00:00:02.000\na &lt; b &amp; c --&gt; d\n\n"


def test_nothing_said_gives_an_empty_file(tmp_path: Path) -> None:
    """Valid all the same."""
    SubtitleFile(tmp_path / "a.srt").close()
    assert (tmp_path / "a.srt").read_text() == ""


def test_an_older_file_is_lost_only_to_text(tmp_path: Path) -> None:
    """A run that fails before the first cue leaves it; what was said until an error is kept."""
    path = tmp_path / "a.srt"
    path.write_text("old")
    with suppress(DragomanError), SubtitleFile(path):
        raise DragomanError("no microphone")
    assert path.read_text() == "old"
    with suppress(DragomanError), SubtitleFile(path) as file:
        file.add(0.0, 2.0, "Bom dia.")
        raise DragomanError("no microphone")
    assert path.read_text().endswith("Bom dia.\n\n")


def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    """Also where it is completed after that."""
    path = tmp_path / "a.srt"
    path.symlink_to("/dev/full")
    with pytest.raises(DragomanError, match=r"a\.srt: can't be written \(No space left"), SubtitleFile(path) as file:
        file.add(0.0, 2.0, "Bom dia. " * 40)


def test_long_text_is_several_cues_of_two_lines() -> None:
    """Each with its share of the time."""
    made = list(cues(10.0, 20.0, "palavra " * 40))
    assert len(made) > 3
    assert all(len(line) <= 42 for cue in made for line in cue.text.splitlines())
    assert all(len(cue.text.splitlines()) <= 2 for cue in made)


@given(st.lists(st.sampled_from(["a", "palavra", "extraordinariamente"]), min_size=1, max_size=80), st.floats(0, 60))
def test_cues_follow_each_other_and_lose_nothing(words: list[str], seconds: float) -> None:
    """In time and text."""
    made = list(cues(5.0, 5.0 + seconds, " ".join(words)))
    assert " ".join(cue.text for cue in made).split() == words
    assert made[0].start == 5.0
    assert made[-1].end == pytest.approx(5.0 + seconds)
    assert all(a.end == b.start for a, b in pairwise(made))


@pytest.mark.parametrize(("name", "says"), [("a.txt", ".srt or .vtt"), ("none/a.srt", "does not exist")])
def test_files_that_can_not_be_are_told(tmp_path: Path, name: str, says: str) -> None:
    """One clear line."""
    with pytest.raises(DragomanError, match=says):
        SubtitleFile(tmp_path / name)
