"""What is interpreted in ``dragoman bench translate``: recordings with reference translations, or sentences of our own.

``DIR/index.json`` holds ``{file, lang, transcript, translation: {lang: text}}``; other entries are skipped and counted.
Without a folder a few sentences are spoken by the embedded voices: enough to see that all works, too clean for more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from dragoman.audio.files import load
from dragoman.audio.resample import resample
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, DragomanError, Samples

PAIRS: Final = (("en", "pt"), ("pt", "en"))

_SENTENCES: Final = (
    (
        "We were going to take the train to the coast, but it was so late that we drove there instead.",
        "Íamos pegar o trem para a costa, mas ele estava tão atrasado que fomos de carro.",
    ),
    (
        "My sister, who lives in a small town near the river, teaches history at the local school.",
        "Minha irmã, que mora em uma cidade pequena perto do rio, ensina história na escola local.",
    ),
    (
        "If you want to learn to cook, start with a few simple dishes and make them again and again.",
        "Se você quer aprender a cozinhar, comece com alguns pratos simples e faça-os várias vezes.",
    ),
    (
        "The old library was closed for two years because the roof had to be repaired after the storm.",
        "A antiga biblioteca ficou fechada por dois anos porque o telhado foi consertado depois da tempestade.",
    ),
    (
        "Yesterday I met an old friend whom I had not seen since we finished school in the summer.",
        "Ontem encontrei um velho amigo que eu não via desde que terminamos a escola no verão.",
    ),
    (
        "The doctor told him to rest, to drink a lot of water, and to come back on Monday morning.",
        "O médico disse a ele para descansar, beber muita água e voltar na segunda-feira de manhã.",
    ),
)


@dataclass(frozen=True, slots=True)
class BilingualClip:
    """A recording of ``source`` and what it says in ``target``."""

    name: str
    source: str
    target: str
    reference: str
    path: Path | None = None
    text: str = ""
    """What is said: spoken where there is no file."""

    def sound(self) -> Samples:
        """At 16 kHz. Blocking; spoken by a voice where there is no file."""
        if self.path is not None:
            return load(self.path)
        from dragoman.tts import open_voice

        quiet = np.zeros(INPUT_RATE // 4, np.float32)
        speech = resample(open_voice(self.source).synthesize(self.text).pcm, OUTPUT_RATE, INPUT_RATE)
        return np.concatenate([quiet, speech, quiet])


def listed(data: Path) -> tuple[list[BilingualClip], int]:
    """The clips of a folder that have a translation of a pair that is measured, and how many have none.

    Raises ``DragomanError`` for a folder without a list.
    """
    try:
        entries = json.loads((data / "index.json").read_text(encoding="utf-8"))
        clips, skipped = [], 0
        for entry in entries:
            source = str(entry["lang"])[:2]
            references = entry.get("translation") or {}
            found = [
                BilingualClip(
                    str(entry["file"]),
                    source,
                    target,
                    str(references[target]),
                    data / str(entry["file"]),
                    str(entry.get("transcript") or ""),
                )
                for origin, target in PAIRS
                if origin == source and target in references
            ]
            clips += found
            skipped += not found
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DragomanError(f"{data}/index.json: no usable list of clips ({error})") from error
    return clips, skipped


def spoken() -> list[BilingualClip]:
    """Our own sentences, both ways."""
    made = []
    for number, (english, portuguese) in enumerate(_SENTENCES):
        made.append(BilingualClip(f"sentence-{number}", "en", "pt", portuguese, text=english))
        made.append(BilingualClip(f"frase-{number}", "pt", "en", english, text=portuguese))
    return made
