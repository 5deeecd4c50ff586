"""What the training commands have in common."""

from __future__ import annotations

import os
import signal

from dragoman.audio.types import DragomanError


def prepare_training(threads: int) -> None:
    """Let torch use so many threads, and a stopped run save what it has. Raises ``DragomanError`` without torch."""
    try:
        import torch
    except ImportError as error:
        raise DragomanError("training needs torch: run pip install 'dragoman[train]'") from error
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as with Ctrl-C
    torch.set_num_threads(threads)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
