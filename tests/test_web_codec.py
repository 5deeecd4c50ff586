"""Sound on the wire."""

from __future__ import annotations

import base64
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.web.codec import Decoder, Encoder, Format, levels, rate_of
from dragoman.web.events import ProtocolError
from dragoman.web.protocol import Pcm, Pcma, Pcmu

FORMATS: list[Format] = [Pcm(), Pcmu(type="audio/pcmu"), Pcma(type="audio/pcma")]


def tone(seconds: float) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * 24_000)) / 24_000)).astype(np.float32)


@pytest.mark.parametrize(
    ("law", "code", "level"),
    [
        ("audio/pcmu", 0x00, -32124),
        ("audio/pcmu", 0x80, 32124),
        ("audio/pcmu", 0xFF, 0),
        ("audio/pcma", 0xD5, 8),
        ("audio/pcma", 0x2A, -32256),
        ("audio/pcma", 0xAA, 32256),
    ],
)
def test_g711_levels_are_the_standards(law: str, code: int, level: int) -> None:
    """Known points of the two laws."""
    assert levels(law)[code] == level


@pytest.mark.parametrize("form", FORMATS)
def test_a_tone_survives_the_wire(form: Format) -> None:
    """Encoded and decoded, a tone is the same tone to within the format's noise."""
    encoder, decoder = Encoder(form), Decoder(form)
    wire = [*encoder.encode(tone(1.0)), *encoder.flush()]
    heard = np.concatenate([*(pcm for piece in wire for pcm in decoder.decode(piece)), decoder.flush()])
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(heard)) / 16_000)
    middle = slice(2000, 14_000)
    noise = np.sqrt(np.mean((heard[middle] - wanted[middle]) ** 2))
    assert len(heard) == pytest.approx(16_000, abs=40)
    assert noise < 0.02


@pytest.mark.parametrize("form", FORMATS)
def test_pieces_are_short(form: Format) -> None:
    """A fifth of a second each, so that an interruption finds little on its way."""
    width = 2 if isinstance(form, Pcm) else 1
    sizes = [len(base64.b64decode(piece)) for piece in Encoder(form).encode(tone(2.0))]
    assert max(sizes) <= rate_of(form) * width // 5


@given(cuts=st.lists(st.integers(0, 9600), max_size=6))
def test_any_chunking_decodes_alike(cuts: list[int]) -> None:
    """Chunks may end in the middle of a sample."""
    data = (tone(0.2) * 32767).astype("<i2").tobytes()
    edges = [0, *sorted(cuts), len(data)]
    decoder = Decoder(Pcm())
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    wire = [base64.b64encode(piece).decode() for piece in pieces]
    heard = np.concatenate([*(pcm for piece in wire for pcm in decoder.decode(piece)), decoder.flush()])
    whole = Decoder(Pcm())
    expected = np.concatenate([*whole.decode(base64.b64encode(data).decode()), whole.flush()])
    np.testing.assert_allclose(heard, expected, atol=1e-5)


@pytest.mark.parametrize("form", FORMATS)
def test_long_chunks_are_cut(form: Format) -> None:
    """A client may send minutes at once: they are decoded a little at a time."""
    data = np.zeros(rate_of(form) * (2 if isinstance(form, Pcm) else 1), np.uint8).tobytes()
    pieces = list(Decoder(form).decode(base64.b64encode(data).decode()))
    assert len(pieces) == 5
    assert max(map(len, pieces)) < 4000


def test_half_a_sample_ends_with_its_stream() -> None:
    """What comes after a flush is not shifted by it."""
    decoder, sound = Decoder(Pcm()), base64.b64encode((tone(0.2) * 32767).astype("<i2").tobytes()).decode()
    assert len(list(decoder.decode(base64.b64encode(b"\1\2\3").decode()))) == 1
    decoder.flush()
    np.testing.assert_array_equal([*decoder.decode(sound)], [*Decoder(Pcm()).decode(sound)])


@pytest.mark.parametrize("text", ["~~~", "é", "AAA\u200b", "\ud800"])
def test_what_is_not_base64_is_refused(text: str) -> None:
    """An error, not noise."""
    with pytest.raises(ProtocolError, match="base64"):
        list(Decoder(Pcm()).decode(text))
