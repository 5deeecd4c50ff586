"""Where adapters are found: small files of our own training, which ship with the packages that load them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

FOLDER: Final = "DRAGOMAN_ADAPTERS"
"""Environment variable: a folder whose adapters go before the shipped ones."""


def find_adapter(name: str, shipped: Path) -> Path | None:
    """The file of this name in the user's own folder or else among the ``shipped`` ones, if there is one."""
    own = os.environ.get(FOLDER)
    folders = (*([Path(own)] if own else ()), shipped)
    return next((path for folder in folders if (path := folder / name).is_file()), None)
