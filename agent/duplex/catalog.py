"""The duplex adapters that there are, and the run time made of one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dragoman.agent.duplex.adapter import Adapter, load_adapter
from dragoman.agent.duplex.body import body_sha256, load_body
from dragoman.agent.duplex.endpointer import Endpointer, load_endpointer
from dragoman.agent.duplex.examples import BODY
from dragoman.agent.duplex.features import EAR, ear_digest
from dragoman.agent.duplex.runtime import FORMAT, DuplexRuntime
from dragoman.audio.types import DragomanError
from dragoman.models.adapters import find_adapter
from dragoman.models.built import built
from dragoman.models.catalog import Progress, cache_dir, resolve

SHIPPED: Final = Path(__file__).parent / "adapters"


def adapter_path(ear: str = EAR) -> Path | None:
    """The duplex adapter for an ear, ``duplex-<ear>.npz``, if there is one."""
    return find_adapter(f"duplex-{ear}.npz", SHIPPED)


def endpointer_path(ear: str = EAR) -> Path | None:
    """The endpointer for an ear, ``endpointer-<ear>.npz``, if there is one."""
    return find_adapter(f"endpointer-{ear}.npz", SHIPPED)


def open_endpointer(ear: str, digest: str) -> Endpointer | None:
    """The endpointer for an ear with this digest, if there is one. Raises ``DragomanError`` when it was trained on
    another.
    """
    path = endpointer_path(ear)
    if path is None:
        return None
    found = load_endpointer(path)
    found.check(digest)
    return found


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
    digest = ear_digest(ear)
    loaded.check(digest, body_sha256(file))
    graphs = _graphs(loaded, file, quantized, progress)
    return DuplexRuntime(graphs, threads=threads, policy=loaded.policy, endpointer=open_endpointer(ear, digest))


def _graphs(adapter: Adapter, body: Path, quantized: bool, progress: Progress | None) -> Path:
    """The folder of an adapter's graphs, built now unless they are there."""
    name = f"{adapter.digest()}-{FORMAT}-{'int8' if quantized else 'float'}"

    def write(folder: Path) -> None:
        from dragoman.agent.duplex import graph  # what builds graphs loads slowly, and is needed once

        graph.write(load_body(body), adapter, folder, quantized=quantized)

    return built(cache_dir().parent / "duplex" / name, "building the fast path", write, progress)
