"""Files in and out: formats, rates, channels, and clear errors for what is no sound."""

from __future__ import annotations

import os
from contextlib import suppress
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile

from dragoman.agent.cli.demo import mix
from dragoman.audio.files import FORMATS, WavWriter, blocks, load, save, seconds_of
from dragoman.audio.types import DragomanError
from dragoman.audio.writing import writable


def tone(rate: int, seconds: float = 0.5, pitch: float = 440) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * pitch * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def pitch_of(pcm: np.ndarray, rate: int) -> float:
    return float(np.abs(np.fft.rfft(pcm)).argmax()) * rate / len(pcm)


def write_m4a(path, rate=44_100, pcm=None, title="none"):
    with av.open(str(path), "w") as container:
        container.metadata["title"] = title
        stream = container.add_stream("aac", rate=rate, layout="mono")
        pcm = tone(rate, 1.0) if pcm is None else pcm
        for i in range(0, len(pcm), 1024):
            frame = av.AudioFrame.from_ndarray(pcm[None, i : i + 1024], format="fltp", layout="mono")
            frame.sample_rate = rate
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [8_000, 44_100])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_and_channel_count_is_converted(tmp_path, suffix, rate, channels):
    """A stereo file at another rate comes out as mono at 16 kHz, as long as it was."""
    path = tmp_path / f"in.{suffix}"
    soundfile.write(path, np.stack([tone(rate)] * channels, axis=1), rate)
    pcm = load(path)
    assert pcm.dtype == np.float32
    assert pcm.ndim == 1
    assert len(pcm) == pytest.approx(8_000, abs=1_000 if suffix == "mp3" else 1)
    assert pitch_of(pcm, 16_000) == pytest.approx(440, abs=4)


def test_channels_are_averaged(tmp_path):
    """Whoever speaks on which: none of them is left out."""
    path = tmp_path / "in.wav"
    left, right = tone(16_000), tone(16_000, pitch=700)
    soundfile.write(path, np.stack([left, right], axis=1), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(load(path), (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize("suffix", ["wav", "mkv"])
def test_channels_that_cancel_each_other_are_heard(tmp_path, suffix):
    """A cable that is wired the wrong way round: the mean of both would be silence."""
    path = tmp_path / f"in.{suffix}"
    both = np.stack([tone(16_000), -0.9 * tone(16_000)])
    if suffix == "wav":
        soundfile.write(path, both.T, 16_000, subtype="FLOAT")
    else:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("pcm_f32le", rate=16_000, layout="stereo")
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(both.T.reshape(1, -1)), format="flt", layout="stereo"
            )
            frame.sample_rate = 16_000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    np.testing.assert_allclose(load(path), both[0], atol=1e-6)


def test_floats_beyond_full_scale_are_read_as_they_are(tmp_path):
    """Recorders with headroom write such files."""
    path = tmp_path / "in.wav"
    soundfile.write(path, 20 * tone(16_000), 16_000, subtype="FLOAT")
    assert np.abs(load(path)).max() == pytest.approx(10, rel=0.01)


def test_what_libsndfile_does_not_read_goes_through_ffmpeg(tmp_path):
    """An m4a is decoded, resampled and timed."""
    path = tmp_path / "in.m4a"
    write_m4a(path)
    pcm = load(path)
    assert len(pcm) == pytest.approx(16_000, abs=2_100)
    assert pitch_of(pcm, 16_000) == pytest.approx(440, abs=2)
    assert seconds_of(path) == pytest.approx(1.0, abs=0.1)


def test_a_title_in_another_encoding_is_no_reason_not_to_listen(tmp_path):
    """What stands in a file beside its sound need not be UTF-8."""
    path = tmp_path / "in.m4a"
    write_m4a(path, title="Cafe")
    path.write_bytes(path.read_bytes().replace(b"Cafe", "Café".encode("latin-1")))
    assert len(load(path)) == pytest.approx(16_000, abs=2_100)
    assert seconds_of(path) == pytest.approx(1.0, abs=0.1)


def test_a_wav_whose_header_was_never_completed_is_heard(tmp_path):
    """Who writes into a pipe, or is killed, leaves a length of 0."""
    path = tmp_path / "in.wav"
    soundfile.write(path, tone(16_000), 16_000)
    data = path.read_bytes()
    path.write_bytes(data[:4] + bytes(4) + data[8:40] + bytes(4) + data[44:])
    assert pitch_of(load(path), 16_000) == pytest.approx(440, abs=2)
    assert seconds_of(path) is None


@pytest.mark.parametrize("frames", [20, 44, 60])
def test_a_rate_may_change_half_way(tmp_path, frames):
    """Wherever that is in a block."""
    parts = []
    for rate in (44_100, 48_000):
        part = tmp_path / "part.aac"
        write_m4a(part, rate=rate, pcm=tone(rate, (frames * 1024 - 1024) / rate))
        parts.append(part.read_bytes())
    path = tmp_path / "in.aac"
    path.write_bytes(b"".join(parts))
    expected = frames * 1024 * (1 / 44_100 + 1 / 48_000)
    assert len(load(path)) == pytest.approx(16_000 * expected, abs=1_000)


def test_blocks_joined_are_the_file(tmp_path):
    """Reading in small blocks gives exactly what reading at once gives."""
    path = tmp_path / "in.wav"
    soundfile.write(path, tone(44_100, 2.3), 44_100)
    pieces = list(blocks(path, seconds=0.1))
    assert len(pieces) > 20
    np.testing.assert_allclose(np.concatenate(pieces), load(path), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: os.mkfifo(path), "is a pipe"),
        (lambda path: path.touch(), "file is empty"),
        (lambda path: path.write_text("hello " * 99), "not an audio file"),
        (lambda path: path.write_bytes(b"RIFF\x00\x00\x00\x00WAVEfmt "), "not an audio file"),
        (lambda path: soundfile.write(path, np.zeros(0), 16_000), "holds no sound"),
        (lambda path: soundfile.write(path, np.full(99, np.nan), 16_000, subtype="FLOAT"), "damaged"),
        (lambda path: soundfile.write(path, 3e4 * tone(16_000), 16_000, subtype="FLOAT"), "samples reach 15000"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, make, complaint):
    """What is wrong is named, together with the file."""
    path = tmp_path / "in.wav"
    make(path)
    with pytest.raises(DragomanError, match=complaint) as caught:
        load(path)
    assert "in.wav" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["flac", "m4a"])
def test_a_file_that_breaks_off_gives_its_sound_and_then_one_clear_line(tmp_path, suffix):
    """Where a decoder loses its way, what came before is not lost, and the place is told."""
    path = tmp_path / f"in.{suffix}"
    noise = np.random.default_rng(0).normal(0, 0.1, 160_000).astype(np.float32)
    write_m4a(path, pcm=noise, rate=16_000) if suffix == "m4a" else soundfile.write(path, noise, 16_000)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2_000] = np.random.default_rng(1).bytes(2_000)
    path.write_bytes(data)
    read = []
    with pytest.raises(DragomanError, match=rf"in\.{suffix}: damaged, it can't be read beyond \d\.\d s"):
        read.extend(blocks(path))
    assert 3 * 16_000 < sum(map(len, read)) <= 6 * 16_000


def test_a_text_named_mp3_is_our_line_alone(tmp_path, capfd):
    """No decoder tells what it looked for."""
    path = tmp_path / "in.mp3"
    path.write_text("hello " * 999)
    assert seconds_of(path) is None
    with pytest.raises(DragomanError, match="not an audio file"):
        load(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", ["wav", "flac", "WAV"])
def test_saved_sound_comes_back(tmp_path, suffix):
    """16 bits keep a tone; what exceeds full scale is clipped, never wrapped."""
    path = tmp_path / f"out.{suffix}"
    pcm = tone(24_000) * 3
    save(path, pcm, 24_000)
    assert soundfile.info(path).subtype == "PCM_16"
    np.testing.assert_allclose(load(path, 24_000), np.clip(pcm, -1, 1), atol=1e-4)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_both_sides_of_a_conversation_are_one_file(tmp_path):
    """The left one is one voice, the right one the other, as long as the longer; a bad target is one clear line."""
    save(tmp_path / "left.wav", tone(24_000), 24_000)
    save(tmp_path / "right.wav", tone(24_000)[:6_000], 24_000)
    mix(tmp_path / "left.wav", tmp_path / "right.wav", tmp_path / "both.wav")
    both, rate = soundfile.read(tmp_path / "both.wav")
    assert (rate, both.shape) == (24_000, (len(tone(24_000)), 2))
    assert np.abs(both[:6_000, 0] - both[:6_000, 1]).max() < 1e-4
    assert not both[6_100:, 1].any()
    with pytest.raises(DragomanError, match="does not exist"):
        mix(tmp_path / "left.wav", tmp_path / "right.wav", tmp_path / "none" / "both.wav")


def test_a_failed_save_leaves_the_old_file(tmp_path):
    """A sound that can't be written does not destroy the one that was there."""
    path = tmp_path / "out.wav"
    save(path, tone(16_000), 16_000)
    before = path.read_bytes()
    with pytest.raises(DragomanError, match="not numbers"):
        save(path, np.full(10, np.nan, np.float32), 16_000)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("no/such/folder/out.wav", "does not exist"),
        ("out.xyz", "name it .wav or .flac"),
        ("dir.wav", "is a folder"),
        ("caf\udce9.wav", "can't be written"),
    ],
)
@pytest.mark.parametrize("write", [lambda path: save(path, tone(16_000), 16_000), lambda path: WavWriter(path, 16_000)])
def test_a_bad_target_is_one_clear_line(tmp_path, name, complaint, write):
    """Missing folders and unknown suffixes are told before anything is computed for them."""
    (tmp_path / "dir.wav").mkdir()
    with pytest.raises(DragomanError, match=complaint):
        write(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_target_that_may_not_be_written_is_told_at_once(tmp_path):
    """A folder, or a file that is there."""
    save(tmp_path / "out.wav", tone(16_000), 16_000)
    (tmp_path / "out.wav").chmod(0o444)
    tmp_path.chmod(0o555)
    for name in ("out.wav", "new.wav"):
        with pytest.raises(DragomanError, match="no permission"):
            writable(tmp_path / name, FORMATS)


def test_writer_streams_a_file(tmp_path):
    """Pieces written one by one are one sound."""
    with WavWriter(tmp_path / "out.wav", 24_000) as writer:
        for _ in range(3):
            writer.write(tone(24_000))
    assert writer.samples == 36_000
    np.testing.assert_allclose(load(tmp_path / "out.wav", 24_000), np.tile(tone(24_000), 3), atol=1e-4)


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    """The file and the reason; libsndfile has none."""
    (tmp_path / "out.wav").symlink_to("/dev/full")
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=0))
    with (
        pytest.raises(DragomanError, match=r"out\.wav: can't be written \(the disk is full\)"),
        WavWriter(tmp_path / "out.wav", 24_000) as file,
    ):
        file.write(tone(24_000))


def test_an_older_file_is_lost_only_to_sound(tmp_path):
    """A session that fails before its first sound leaves it; what was recorded until an error is kept."""
    path, link = tmp_path / "out.wav", tmp_path / "link.wav"
    save(path, tone(24_000), 24_000)
    link.symlink_to(path)
    for recorded in ([], [tone(24_000, 0.1)]):
        with suppress(KeyboardInterrupt), WavWriter(link, 24_000) as writer:
            assert len(load(path, 24_000)) == 12_000
            for pcm in recorded:
                writer.write(pcm)
            raise KeyboardInterrupt
        assert len(load(path, 24_000)) == (2_400 if recorded else 12_000)
    assert link.is_symlink()
    assert {p.name for p in tmp_path.iterdir()} == {"out.wav", "link.wav"}


def test_a_file_in_a_folder_that_is_not_ours_is_written_where_it_is(tmp_path, monkeypatch):
    """Its permission is all that is needed."""
    path = tmp_path / "out.wav"
    path.touch()
    before = path.stat().st_ino
    monkeypatch.setattr(os, "access", lambda asked, mode: asked.is_file())
    save(path, tone(16_000), 16_000)
    assert path.stat().st_ino == before
    assert len(load(path)) == 8_000


def test_a_device_is_written_as_it_is(tmp_path):
    """No file takes its place."""
    path = tmp_path / "out.wav"
    path.symlink_to("/dev/null")
    with WavWriter(path, 24_000) as writer:
        writer.write(tone(24_000))
    assert path.is_char_device()
