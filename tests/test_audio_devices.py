"""The microphone and the speaker: their buffers, their errors, and (slow) both through a real sound server."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jiwer
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from whisper_normalizer.english import EnglishTextNormalizer

from dragoman.audio import devices
from dragoman.audio.devices import FRAME, Microphone, Ring, Speaker, check_devices
from dragoman.audio.files import load
from dragoman.audio.types import DragomanError

HERE = Path(__file__).parent


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=60))
def test_ring_keeps_the_newest_in_order(steps):
    """Whatever is written and read: samples come out once, in order, silence fills up, the oldest give way."""
    ring, expected, counter, dropped = Ring(20), [], 0, 0
    for writes, count in steps:
        if writes:
            pcm = np.arange(counter + 1, counter + count + 1, dtype=np.float32)
            counter += count
            ring.write(pcm)
            expected += pcm.tolist()
            dropped += max(0, len(expected) - 20)
            expected = expected[-20:]
        else:
            out = ring.read(count).tolist()
            assert out == expected[:count] + [0.0] * max(0, count - len(expected))
            expected = expected[count:]
        assert len(ring) == len(expected)
        assert ring.dropped == dropped


def test_ring_counts_underruns_only_within_sound():
    """A block that sound fills half is an underrun; plain silence is none."""
    ring = Ring(100)
    ring.read(10)
    assert ring.underruns == 0
    ring.write(np.ones(15, np.float32))
    ring.read(10)
    ring.read(10)
    assert ring.underruns == 1


def test_ring_waits_until_enough_is_there():
    """Sound starts when the cushion is filled, goes on without a gap, and needs a new cushion after it ran dry."""
    ring = Ring(100, prime=20)
    ring.write(np.ones(10, np.float32))
    assert not ring.read(5).any()
    ring.write(np.ones(10, np.float32))
    assert ring.read(5).all()
    assert ring.read(15).all()
    ring.write(np.ones(10, np.float32))
    assert not ring.read(5).any()


def test_ring_does_not_hold_back_a_short_sound():
    """A sound shorter than the cushion is played once the rest has had the time to come."""
    ring = Ring(100, prime=20)
    ring.write(np.ones(10, np.float32))
    assert not ring.read(10).any()
    assert ring.read(10).all()


def test_ring_is_not_late_for_ever_after_a_device_stalled():
    """Silence is left out until no more waits than needed; no sound is."""
    ring, sound = Ring(100, enough=40), np.ones(20, np.float32)
    for _ in range(10):
        ring.write(np.zeros(20, np.float32))  # nobody reads
    assert len(ring) == 40
    for _ in range(3):
        ring.write(sound)
    assert len(ring) == 100
    heard = 0.0
    for _ in range(20):
        heard += float(ring.read(20).sum())
        ring.write(np.zeros(20, np.float32))
    assert heard == 60
    assert len(ring) == 40


def test_ring_can_be_silenced():
    """What waits is dropped at once."""
    ring = Ring(100)
    ring.write(np.ones(50, np.float32))
    ring.clear()
    assert not ring.read(50).any()


async def frames_of(microphone, count):
    return [frame async for frame, _ in azip(microphone, count)]


async def azip(microphone, count):
    index = 0
    async for frame in microphone:
        yield frame, index
        index += 1
        if index == count:
            return


def fake_microphone(rate):
    """A microphone whose device is the test: what it 'captures' is given by hand."""
    microphone = Microphone()
    microphone._loop = asyncio.get_running_loop()
    microphone._resampler = devices.StreamResampler(rate, 16_000)
    return microphone


def test_captured_blocks_become_frames_of_20_ms():
    """Blocks of any size at 48 kHz come out as 320 samples at 16 kHz, in order."""

    async def run():
        microphone = fake_microphone(48_000)
        sound = np.sin(np.arange(48_000) * 2 * np.pi * 440 / 48_000).astype(np.float32)
        for block in np.array_split(sound, 37):
            microphone._captured(block[:, None], len(block), None, None)
        return await frames_of(microphone, 45)

    frames = asyncio.run(run())
    assert {len(frame) for frame in frames} == {FRAME}
    joined = np.concatenate(frames)
    assert np.abs(np.fft.rfft(joined)).argmax() * 16_000 / len(joined) == pytest.approx(440, abs=2)


def test_a_late_reader_loses_the_oldest_frames_and_is_told():
    """More than the queue holds: the newest are kept, and each lost frame is counted."""

    async def run():
        microphone = fake_microphone(16_000)
        for number in range(300):
            block = np.full((FRAME, 1), number, np.float32)
            microphone._captured(block, FRAME, None, None)
        await asyncio.sleep(0)
        [first] = await frames_of(microphone, 1)
        return microphone.dropped, first[0]

    dropped, first = asyncio.run(run())
    assert dropped == 50
    assert first == 50


def test_a_device_that_goes_away_is_an_error():
    """The frames end with one clear line, not with a hang."""

    async def run():
        microphone = fake_microphone(16_000)
        microphone._finished()
        await frames_of(microphone, 1)

    with pytest.raises(DragomanError, match="the microphone stopped"):
        asyncio.run(run())


def test_a_speaker_that_goes_away_is_an_error():
    """Else the agent would talk on to nobody."""
    speaker = Speaker()
    speaker._resampler = devices.StreamResampler(24_000, 24_000)
    speaker.write(np.ones(480, np.float32))
    speaker._finished()
    with pytest.raises(DragomanError, match="the speaker stopped"):
        speaker.write(np.ones(480, np.float32))


@pytest.mark.parametrize("library", [None, "broken"])
def test_missing_library_names_the_remedy(monkeypatch, library):
    """Without sounddevice, or without PortAudio beneath it, the error says what to install."""
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    if library:
        finder = BrokenLibrary()
        monkeypatch.delitem(sys.modules, "sounddevice")
        monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])

    async def run():
        async with Speaker():
            pass

    remedy = "libportaudio2" if library else r"pip install 'dragoman\[mic\]'"
    with pytest.raises(DragomanError, match=remedy):
        asyncio.run(run())


@pytest.mark.parametrize(("reason", "which"), [("No", "no"), ("Multiple", "more than one")])
def test_a_name_that_no_device_has_or_several_is_told_before_models_are_loaded(monkeypatch, reason, which):
    """A part of a name may fit several: that is not the same as none."""

    def query_devices(device, kind):
        raise ValueError(f"{reason} {kind} devices found for {device!r}")

    library = SimpleNamespace(query_devices=query_devices, PortAudioError=OSError)
    monkeypatch.setitem(sys.modules, "sounddevice", library)
    with pytest.raises(DragomanError, match=f"^{which} sound input device called 'USB': "):
        check_devices("input", device="USB")


class BrokenLibrary:
    """An import that fails as sounddevice's does where there is no PortAudio."""

    def find_spec(self, name, path=None, target=None):
        if name == "sounddevice":
            raise OSError("PortAudio library not found")


SCRIPT = """
import asyncio, json, sys
import numpy as np
from dragoman.audio.devices import Microphone, Speaker, devices
from dragoman.audio.files import load, save

clip, recorded, tail = sys.argv[1], sys.argv[2], 50
sound = load(clip, 24_000)

async def record(microphone, count):
    frames = []
    async for frame in microphone:
        frames.append(frame)
        if len(frames) == count:
            return frames

async def play(speaker):
    loop = asyncio.get_running_loop()
    start = loop.time()
    for index in range(0, len(sound), 480):
        await asyncio.sleep(max(0, start + index / 24_000 - loop.time()))
        speaker.write(sound[index:index + 480])

async def main():
    async with Microphone() as microphone, Speaker() as speaker:
        async with asyncio.TaskGroup() as tasks:
            recording = tasks.create_task(record(microphone, len(sound) // 480 + tail))
            tasks.create_task(play(speaker))
        latency = speaker.latency_s
    save(recorded, np.concatenate(recording.result()), 16_000)
    print(json.dumps({"dropped": microphone.dropped, "played_late": speaker.dropped, "latency": latency,
                      "underruns": speaker.underruns, "devices": [d.name for d in devices()]}))

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pulseaudio"), reason="apt install pulseaudio libportaudio2 libasound2-plugins")
def test_speaker_and_microphone_through_a_sound_server(tmp_path, spoken, english_recognizer):
    """A clip played into one null sink comes back through the microphone of another, and is understood.

    The two sinks are joined by a loopback, so what the speaker plays is what the microphone hears.
    """
    text = "The train to the coast leaves at seven in the morning."
    clip, recorded = tmp_path / "clip.wav", tmp_path / "recorded.wav"
    # A sound server that has just started may take a second or two before it takes sound at an even pace.
    soundfile.write(clip, np.pad(spoken(text), (48_000, 8_000)), 16_000)
    home = tmp_path / "home"
    env = {
        **os.environ,
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "PULSE_RUNTIME_PATH": str(home / "pulse"),
        "PYTHONPATH": str(HERE.parent),
    }
    subprocess.run([HERE / "pulse.sh", "start", home], check=True, timeout=30)
    try:
        loop = [
            "pactl",
            "load-module",
            "module-loopback",
            "source=ears.monitor",
            "sink=mouth",
            "latency_msec=30",
        ]
        subprocess.run(loop, check=True, timeout=10, env=env, stdout=subprocess.DEVNULL)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, clip, recorded],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
    finally:
        subprocess.run([HERE / "pulse.sh", "stop", home], check=True, timeout=30)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["dropped"] == 0
    assert told["devices"]
    assert 0 < told["latency"] < 1
    stream = english_recognizer.open()
    stream.accept(load(recorded))
    normal = EnglishTextNormalizer()
    assert jiwer.wer(normal(text), normal(stream.final().text)) <= 0.2, told
