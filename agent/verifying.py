"""The verifier and the ranker that there are: a user's own go before the shipped ones."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dragoman import verifier
from dragoman.agent.drafter.catalog import require_adapter
from dragoman.agent.duplex.adapter import load_adapter
from dragoman.audio.types import DragomanError
from dragoman.models.adapters import find_adapter
from dragoman.models.catalog import Progress
from dragoman.verifier.model import Verifier
from dragoman.verifier.model import open_verifier as open_file
from dragoman.verifier.ranker import Ranker
from dragoman.verifier.ranker import open_ranker as open_ranker_file

SHIPPED: Final = Path(verifier.__path__[0]) / "adapters"

RANKER: Final = "ranker.npz"


def verifier_path(language: str = "en") -> Path | None:
    """The verifier for the drafts of a language, ``verifier-<language>.npz``, if there is one."""
    return find_adapter(f"verifier-{language}.npz", SHIPPED)


def open_verifier(language: str = "en", *, path: Path | None = None, drafter: Path | None = None) -> Verifier:
    """Load the verifier of a language's drafter (``drafter``: its adapter's file, else the one that is used).

    Raises ``DragomanError`` when either is missing, or the verifier was trained on another drafter.
    """
    drafter, path = drafter or require_adapter(language), path or verifier_path(language)
    if path is None:
        raise DragomanError(f"no verifier for the drafts in {language}: train one with `dragoman train verifier`")
    return open_file(path, load_adapter(drafter).digest())


def open_ranker(path: Path | None = None, *, threads: int = 1, progress: Progress | None = None) -> Ranker:
    """Load the ranker that labels drafts. Raises ``DragomanError`` when it or its sentence encoder is missing."""
    path = path or find_adapter(RANKER, SHIPPED)
    if path is None:
        raise DragomanError("no ranker is here: train one with `dragoman train ranker`")
    return open_ranker_file(path, threads=threads, progress=progress)
