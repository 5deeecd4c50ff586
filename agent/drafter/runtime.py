"""The drafter on ONNX Runtime: it reads a turn word by word as it is heard, and writes the first words of the reply.

Most of a turn is read while the user still speaks, so that a draft waits for its own words alone. NumPy and ONNX
Runtime alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.drafter.drafts import Array, Draft, LastWord
from dragoman.agent.drafter.habits import Habits
from dragoman.agent.drafter.prompt import DRAFT, MARKS, OPEN, POSITIONS, asked, before, heard
from dragoman.agent.drafter.writing import Fork, Writer
from dragoman.agent.duplex.body import Dims
from dragoman.agent.duplex.past import Past, Reader
from dragoman.agent.duplex.vocabulary import Merges, Vocabulary
from dragoman.models.onnx_session import open_session

FORMAT: Final = 4
"""Raised when what ``graph.write`` writes changes: graphs kept from before are not used then."""


class Reading:
    """A turn that is read: the past of what was read, and what that was. One thread at a time."""

    def __init__(self, dialogue: tuple[tuple[str, str], ...], past: Past, branch: Past | None) -> None:
        self.dialogue = dialogue
        """Turns (role, text) before."""
        self.past = past
        self.branch = branch
        """That of the layers that tell whether the turn is complete, where there are any."""
        self.first = past.length
        """Where the turn's own tokens begin."""
        self.tokens: list[int] = []
        self.states: list[Array] = []
        """In the body's middle, at each of the tokens [d]."""
        self.complete: list[float] = []
        """Logit that the turn is complete at each of them, where there is a branch."""
        self.marks = 0
        """How many of them, at the end, are marks."""
        self.drafted: tuple[int, ...] = ()
        """Tokens of the last draft for it."""


class DrafterRuntime:
    """The graphs, loaded. Calls release the interpreter lock; several threads may call it for different readings."""

    def __init__(
        self, folder: Path, *, threads: int = 1, habits: Habits | None = None, completing: bool = False
    ) -> None:
        """Load what ``graph.write`` wrote; ``habits``: of this drafter, which make it quicker; ``completing``: with the
        layers that tell whether a turn is complete, where they are there: a third more work.
        """
        with np.load(folder / "tables.npz") as data:
            about = json.loads(data["about"].tobytes())
            kept = tuple(map(int, data["kept"]))
        self.dims = Dims(**about["dims"])
        self.digest: str = about["drafter"]
        """Of the adapter."""
        known = about["completion"] if completing else None
        self.completion: str = known["digest"] if known else ""
        """Digest of what tells whether a turn is complete; none: ""."""
        self.vocabulary = Vocabulary(Merges.restored(about["merges"]), kept)
        self._tokens: npt.NDArray[np.float16] = np.load(folder / "tokens.npy", mmap_mode="r")
        body, drafts = (open_session(folder / f"{name}.onnx", threads=threads) for name in ("body", "drafts"))
        self._branch: Reader | None = None
        if known:
            session = open_session(folder / "completion.onnx", threads=threads)
            self._branch = Reader(session, Dims(**known["dims"]), POSITIONS, ("complete",))
        self._reader = Reader(body, self.dims, POSITIONS, ("middle", "trunk") if known else ("middle",))
        self._writer = Writer(self._reader, drafts, self.vocabulary, self._embedded, habits)
        self._reply = asked(self.vocabulary)

    def open(self, dialogue: Sequence[tuple[str, str]] = ()) -> Reading:
        """Begin to read the turn after a dialogue of turns (role, text)."""
        past, branch = self._reader.past(), self._branch.past() if self._branch else None
        self._read(past, branch, [*before(self.vocabulary, dialogue), *self.vocabulary.read(OPEN)])
        return Reading(tuple(dialogue), past, branch)

    def read(self, reading: Reading, text: str) -> None:
        """The turn so far; what is not as it was before is read anew. A text that is too long is read from its end."""
        tokens = heard(self.vocabulary, text)
        same = 0
        while same < min(len(tokens), len(reading.tokens)) and tokens[same] == reading.tokens[same]:
            same += 1
        # What lies behind the length of a past is written over.
        reading.past.length = reading.first + same
        if reading.branch is not None:
            reading.branch.length = reading.past.length
        reading.states[same:], reading.complete[same:] = self._read(reading.past, reading.branch, tokens[same:])
        reading.tokens = tokens
        bare = text.strip().rstrip(MARKS)
        reading.marks = len(self.vocabulary.read(text.strip()[len(bare) :])) if bare else 0

    def last_word(self, reading: Reading) -> LastWord | None:
        """What is known at the last token of the turn as it was read; None where there is none.

        Its state is that of the mark behind the last word, if there is one, which says how the word sounded; complete
        is a turn by its words.
        """
        if not reading.states:
            return None
        complete = reading.complete[: len(reading.complete) - reading.marks]
        return LastWord(reading.states[-1], complete[-1] if complete else 0.0)

    def draft(self, reading: Reading, words: int = 5) -> Draft:
        """The first words of the reply to the turn as it was read, or all that there are. The reading may go on."""
        [draft] = self._writer.draft([self._fork(reading)], words)
        reading.drafted = draft.tokens
        return draft

    def alternatives(self, reading: Reading, words: int, count: int) -> list[Draft]:
        """Drafts that begin with other words than the likeliest, the likelier first, written side by side."""
        return self._writer.draft(self._writer.branches(self._fork(reading), count), words)

    def retold(self, reading: Reading, draft: Draft) -> Draft:
        """A draft that another drafter of the same body wrote for the turn, with this one's doubts about it."""
        known = all(token in self.vocabulary.rows for token in draft.tokens)
        tokens = draft.tokens if known else self.vocabulary.write(draft.text)[:DRAFT]
        return self._writer.retold(self._fork(reading), tokens, complete=draft.complete)

    def _fork(self, reading: Reading) -> Fork:
        return Fork(reading.past.copy(), list(self._reply), DRAFT, reading.drafted)

    def _read(self, past: Past, branch: Past | None, tokens: Sequence[int]) -> tuple[list[Array], list[float]]:
        """The states at the tokens, and whether the turn is complete there, if that is told."""
        if not len(tokens):
            return [], []
        x = self._tokens[np.asarray(tokens, np.int64)].astype(np.float32)
        _, middle, *trunk = self._reader.read([past], x[None])
        if self._branch is None or branch is None:
            return list(middle[0]), []
        _, complete = self._branch.read([branch], trunk[0])
        return list(middle[0]), [float(logit) for logit in complete[0, :, 0]]

    def _embedded(self, token: int) -> Array:
        return np.asarray(self._tokens[token], np.float32)
