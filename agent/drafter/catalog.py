"""The drafters that there are, by language, and the run time made of one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dragoman.agent.drafter.completion import load_completion
from dragoman.agent.drafter.endings import Endings, load_endings
from dragoman.agent.drafter.habits import Habits, load_habits
from dragoman.agent.drafter.runtime import FORMAT, DrafterRuntime
from dragoman.agent.duplex.adapter import Adapter, load_adapter
from dragoman.agent.duplex.body import body_sha256, load_body
from dragoman.agent.duplex.examples import BODY
from dragoman.audio.types import DragomanError
from dragoman.models.adapters import find_adapter
from dragoman.models.built import built
from dragoman.models.catalog import Progress, cache_dir, resolve

SHIPPED: Final = Path(__file__).parent / "adapters"


def adapter_path(language: str = "en") -> Path | None:
    """The drafter's adapter for a language, ``drafter-<language>.npz``, if there is one."""
    return find_adapter(f"drafter-{language}.npz", SHIPPED)


def require_adapter(language: str = "en") -> Path:
    """As ``adapter_path``. Raises ``DragomanError`` where there is none."""
    path = adapter_path(language)
    if path is None:
        raise DragomanError(f"no drafter for the language {language}: train one with `dragoman train drafter`")
    return path


def endings_path(language: str = "en") -> Path | None:
    """What tells the ends of turns from the drafter's states, ``endings-<language>.npz``, if there is one."""
    return find_adapter(f"endings-{language}.npz", SHIPPED)


def open_endings(drafter: DrafterRuntime, language: str = "en", *, path: Path | None = None) -> Endings | None:
    """Load it for a drafter of the language that was opened ``completing``; None where there is none.

    Raises ``DragomanError`` when it was made for another drafter.
    """
    path = path or endings_path(language)
    if path is None:
        return None
    endings = load_endings(path)
    endings.check(drafter.digest, drafter.completion)
    return endings


def open_completion(drafter: str, language: str = "en") -> Adapter | None:
    """What tells when a turn is complete behind the drafter of a language with this digest, if there is any.

    Raises ``DragomanError`` when the file is broken.
    """
    path = find_adapter(f"completion-{language}.npz", SHIPPED)
    return None if path is None else load_completion(path, drafter)


def open_habits(drafter: str, language: str = "en") -> Habits | None:
    """What the drafter of a language with this digest usually says, if that is known; it is merely slower without.

    Raises ``DragomanError`` when the file is broken.
    """
    path = find_adapter(f"habits-{language}.npz", SHIPPED)
    habits = None if path is None else load_habits(path)
    return habits if habits is not None and habits.drafter == drafter else None


def open_drafter(
    language: str = "en",
    *,
    body: str = BODY,
    adapter: Path | None = None,
    threads: int = 1,
    quantized: bool = True,
    completing: bool = False,
    progress: Progress | None = None,
) -> DrafterRuntime:
    """Load the drafter of a language. Some ten seconds the first time, one afterwards. ``completing``: for who asks
    whether a turn is complete (``open_endings``).

    Raises ``DragomanError`` when the adapter or the body is missing, or the adapter belongs to another body.
    """
    loaded = load_adapter(adapter or require_adapter(language))
    file = resolve(body, progress=progress)
    loaded.check("", body_sha256(file))
    habits = open_habits(loaded.digest(), language)
    completion = open_completion(loaded.digest(), language)
    folder = _graphs(loaded, completion, file, quantized, progress)
    return DrafterRuntime(folder, threads=threads, habits=habits, completing=completing)


def _graphs(
    adapter: Adapter, completion: Adapter | None, body: Path, quantized: bool, progress: Progress | None
) -> Path:
    known = adapter.digest() if completion is None else f"{adapter.digest()}-{completion.digest()}"
    name = f"drafter-{known}-{FORMAT}-{'int8' if quantized else 'float'}"

    def write(folder: Path) -> None:
        from dragoman.agent.drafter import graph  # what builds graphs loads slowly, and is needed once

        graph.write(load_body(body), adapter, folder, quantized=quantized, completion=completion)

    return built(cache_dir().parent / "duplex" / name, "building the drafter", write, progress)
