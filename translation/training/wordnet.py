"""Sentences of WordNet, where its files are installed: definitions and examples in plain English, of most words.

The format is that of Princeton's ``data.noun``, ``data.verb``, ``data.adj`` and ``data.adv``: behind a bar stands the
definition, then examples in quotes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from dragoman.audio.types import DragomanError

_FILES: Final = ("data.noun", "data.verb", "data.adj", "data.adv")
_EXAMPLE: Final = re.compile(r'"([^"]+)"')
_ASIDE: Final = re.compile(r"\s*\([^)]*\)\s*")
_PLAIN: Final = re.compile(r"[A-Za-z0-9 ,;:.'!?$%-]+")
_LEAST: Final = 4
"""Words of a sentence."""


def wordnet(folder: Path) -> list[str]:
    """Its sentences, each once, in a fixed order. Raises ``DragomanError`` where the folder has none."""
    found: dict[str, None] = {}
    for name in _FILES:
        path = folder / name
        if not path.is_file():
            raise DragomanError(f"{folder}: there is no {name} of WordNet's (Debian: apt install wordnet-base)")
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if not line.startswith("  "):  # the licence
                found |= dict.fromkeys(_sentences(line.partition("|")[2]))
    return list(found)


def _sentences(gloss: str) -> list[str]:
    definition, *_ = gloss.partition('"')
    texts = [_ASIDE.sub(" ", definition), *_EXAMPLE.findall(gloss)]
    tidy = (" ".join(text.split()).strip(" ;:,-") for text in texts)
    return [
        text[0].upper() + text[1:] + ("" if text[-1] in ".?!" else ".")
        for text in tidy
        if len(text.split()) >= _LEAST and _PLAIN.fullmatch(text)
    ]
