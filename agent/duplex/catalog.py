"""The duplex adapters that there are, and the run time made of one."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dragoman.agent.duplex import graph
from dragoman.agent.duplex.adapter import Adapter, load_adapter
from dragoman.agent.duplex.body import body_sha256, load_body
from dragoman.agent.duplex.examples import BODY, ear_digest
from dragoman.agent.duplex.features import EAR
from dragoman.agent.duplex.runtime import DuplexRuntime
from dragoman.audio.types import DragomanError
from dragoman.models.adapters import find_adapter
from dragoman.models.catalog import Progress, cache_dir, resolve
from dragoman.models.store import silent

SHIPPED: Final = Path(__file__).parent / "adapters"


def adapter_path(ear: str = EAR) -> Path | None:
    """The duplex adapter for an ear, ``duplex-<ear>.npz``, if there is one."""
    return find_adapter(f"duplex-{ear}.npz", SHIPPED)


def open_duplex(
    ear: str = EAR,
    *,
    body: str = BODY,
    adapter: Path | None = None,
    threads: int = 1,
    quantized: bool = True,
    progress: Progress | None = None,
) -> DuplexRuntime:
    """Load the fast path for a catalog model's ear. Some ten seconds the first time, one afterwards.

    Raises ``DragomanError`` when the adapter or the body is missing, or the adapter was trained on another ear or body.
    """
    path = adapter or adapter_path(ear)
    if path is None:
        raise DragomanError(f"no duplex adapter for the ear of {ear}: train one with `dragoman train duplex`")
    loaded = load_adapter(path)
    file = resolve(body, progress=progress)
    loaded.check(ear_digest(ear), body_sha256(file))
    graphs = _graphs(loaded, file, quantized, progress or silent)
    return DuplexRuntime(graphs, threads=threads, policy=loaded.policy)


def _graphs(adapter: Adapter, body: Path, quantized: bool, progress: Progress) -> Path:
    """The folder of an adapter's graphs, built now unless they are there."""
    name = f"{adapter.digest()}-{graph.FORMAT}-{'int8' if quantized else 'float'}"
    return built(
        name,
        "building the fast path",
        lambda folder: graph.write(load_body(body), adapter, folder, quantized=quantized),
        progress,
    )


def built(name: str, title: str, write: Callable[[Path], None], progress: Progress | None = None) -> Path:
    """The folder ``name`` of graphs that are kept; ``write`` fills it unless it is there."""
    root = cache_dir().parent / "duplex"
    folder, told = root / name, progress or silent
    if not folder.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        told(title, 0, 1)
        # Beside it and then renamed: it is whole or not there. Another process may have been faster.
        with tempfile.TemporaryDirectory(dir=root) as partial:
            write(Path(partial) / "graphs")
            with contextlib.suppress(OSError):
                (Path(partial) / "graphs").rename(folder)
        told(title, 1, 1)
    return folder
