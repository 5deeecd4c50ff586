"""The verifier and the ranker that there are: a user's own go before the shipped ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from dragoman import verifier
from dragoman.agent.duplex.adapter import load_adapter
from dragoman.agent.duplex.catalog import adapter_path
from dragoman.agent.duplex.features import EAR
from dragoman.asr.causal.catalog import FOLDER
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import Progress
from dragoman.verifier.model import Verifier
from dragoman.verifier.model import open_verifier as open_file
from dragoman.verifier.ranker import Ranker
from dragoman.verifier.ranker import open_ranker as open_ranker_file

SHIPPED: Final = Path(verifier.__path__[0]) / "adapters"

RANKER: Final = "ranker.npz"


def verifier_path(ear: str = EAR) -> Path | None:
    """The verifier for an ear's drafter, ``verifier-<ear>.npz``, if there is one."""
    return _found(f"verifier-{ear}.npz")


def open_verifier(ear: str = EAR, *, path: Path | None = None, drafter: Path | None = None) -> Verifier:
    """Load the verifier of the drafter for an ear (``drafter``: its adapter's file, else the one that is used).

    Raises ``DragomanError`` when either is missing, or the verifier was trained on another drafter.
    """
    drafter = drafter or adapter_path(ear)
    path = path or verifier_path(ear)
    if drafter is None:
        raise DragomanError(f"no duplex adapter for the ear of {ear}: train one with `dragoman train duplex`")
    if path is None:
        raise DragomanError(f"no verifier for the drafts of {ear}: train one with `dragoman train verifier`")
    return open_file(path, load_adapter(drafter).digest())


def open_ranker(path: Path | None = None, *, threads: int = 1, progress: Progress | None = None) -> Ranker:
    """Load the ranker that labels drafts. Raises ``DragomanError`` when it or its sentence encoder is missing."""
    path = path or _found(RANKER)
    if path is None:
        raise DragomanError("no ranker is here: train one with `dragoman train ranker`")
    return open_ranker_file(path, threads=threads, progress=progress)


def _found(name: str) -> Path | None:
    own = os.environ.get(FOLDER)
    folders: list[Path] = [Path(own)] if own else []
    return next((path for folder in (*folders, SHIPPED) if (path := folder / name).is_file()), None)
