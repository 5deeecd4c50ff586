"""The adapters that there are, and the recognizers made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dragoman.asr.causal.adapter import check_base, load_adapter
from dragoman.asr.causal.stream import CausalRecognizer, open_causal
from dragoman.asr.causal.weights import weights_sha256
from dragoman.asr.engine import MAX_SECONDS
from dragoman.asr.whisper import FINAL_S, WhisperRecognizer
from dragoman.audio.priority import made_to_yield
from dragoman.audio.types import DragomanError
from dragoman.models.adapters import find_adapter
from dragoman.models.catalog import Progress, cache_dir, resolve

SHIPPED: Final = Path(__file__).parent / "adapters"

_SMALL: Final = 100_000_000
"""Bytes of weights: tiny has fewer, base more."""


TALK: Final = "-talk"
"""Ends the name of an adapter for conversations: its decoder knows fillers and half sentences."""


def adapter_path(model: str, *, talk: bool = False) -> Path | None:
    """The adapter for a catalog model, ``<model>.npz``, if there is one. ``talk``: rather ``<model>-talk.npz``, where
    that has the same encoder.
    """
    path = find_adapter(f"{model}.npz", SHIPPED)
    other = find_adapter(f"{model}{TALK}.npz", SHIPPED) if talk else None
    if path is None or other is None:
        return path
    return other if load_adapter(other).ear == load_adapter(path).ear else path


def require_adapter(model: str, *, talk: bool = False) -> Path:
    """As ``adapter_path``. Raises ``DragomanError`` where there is none."""
    path = adapter_path(model, talk=talk)
    if path is None:
        raise DragomanError(f"no causal adapter for {model}: train one with `dragoman train asr --model {model}`")
    return path


def open_recognizer(
    model: str = "whisper-tiny.en",
    *,
    second_pass: bool = False,
    threads: int = 1,
    quantized: bool = True,
    adapter: Path | None = None,
    talk: bool = False,
    progress: Progress | None = None,
) -> CausalRecognizer:
    """Load the causal recognizer of a catalog model, and warm it up. Some seconds, more the first time.

    ``second_pass``: a turn's final text is redone by the offline model. ``talk``: for conversations, where there is a
    decoder for them. Raises ``DragomanError`` when the model or its adapter is missing, or they don't belong together.
    """
    loaded = load_adapter(adapter or require_adapter(model, talk=talk))
    folder = resolve(model, progress=progress)
    check_base(loaded, weights_sha256(folder))
    spoken = loaded.card.get("languages")
    languages = tuple(map(str, spoken)) if isinstance(spoken, list) and spoken else ("en",)
    # Its words are awaited by nobody, those of the causal model are.
    second = made_to_yield(lambda: _second(folder, languages, threads)) if second_pass else None
    cache = cache_dir().parent / "causal"
    recognizer = open_causal(folder, loaded, cache, languages, second=second, threads=threads, quantized=quantized)
    recognizer.warm()
    return recognizer


def _second(folder: Path, languages: Sequence[str], threads: int) -> WhisperRecognizer:
    """A turn is heard once by it, and nobody waits for it: so in full precision. The smallest weights gain by a long
    window, too; larger ones don't.
    """
    window = MAX_SECONDS if (folder / "model.bin").stat().st_size <= _SMALL else FINAL_S
    return WhisperRecognizer(folder, languages, threads=threads, compute_type="float32", final_s=window)


def open_named(name: str, language: str | None, *, progress: Progress | None = None) -> CausalRecognizer:
    """As ``open_recognizer``, by the name that a user gives: ``causal`` (by language), ``causal-tiny.en``,
    ``causal-base``; behind it ``-talk`` for conversations; with ``+second-pass`` the final text of a turn is the
    offline model's.
    """
    size, _, second = name.removeprefix("causal").partition("+")
    if second not in ("", "second-pass"):
        raise DragomanError(f"no recognizer is called {name!r}: did you mean causal+second-pass?")
    talk = size.endswith(TALK)
    size = size.removesuffix(TALK).removeprefix("-") or ("tiny.en" if language == "en" else "base")
    recognizer = open_recognizer(f"whisper-{size}", second_pass=bool(second), talk=talk, progress=progress)
    if language is not None and language not in recognizer.languages:
        known = ", ".join(recognizer.languages)
        raise DragomanError(f"the adapter for whisper-{size} was trained for {known}, not for {language!r}")
    return recognizer
