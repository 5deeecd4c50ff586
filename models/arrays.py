"""Arrays by name with a header in JSON, in one file: how all that is trained here is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.npyio import NpzFile

from dragoman.audio.writing import replacing


def save_arrays(
    path: Path, header: Mapping[str, object], arrays: Mapping[str, npt.NDArray[np.generic]], *, small: bool = False
) -> None:
    """Write them as a ``.npz``; the file appears whole or not at all. ``small``: compressed."""
    save = np.savez_compressed if small else np.savez
    with replacing(path) as partial, partial.open("wb") as file:
        save(file, allow_pickle=False, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)


def load_arrays(path: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """The header, and the arrays by name. What is wrong with a file is for ``audio.reading.expecting`` to tell."""
    with path.open("rb") as file, NpzFile(file) as data:
        arrays = {name: data[name] for name in data.files}
    return dict(json.loads(arrays.pop("header").tobytes())), arrays
