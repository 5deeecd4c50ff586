"""What the ear has written in each pause of a conversation: what a turn's end is told from by its words.

In a session the open turn's words are there soon after each silence, as if the sound ended with it. Here the same is
done with conversations of which it is known where turns end. A shard's pauses lie beside it, one a line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from dragoman.agent.duplex.conversation import Conversation, UserEvent
from dragoman.agent.duplex.frames import first_decided
from dragoman.agent.duplex.history import dialogue_before
from dragoman.agent.duplex.store import load_conversations
from dragoman.agent.ports import Recognizer, RecognizerStream
from dragoman.asr.vad import WINDOW, Ended, SileroVad, SpeechEdges, Started
from dragoman.audio.reading import ANEW, expecting
from dragoman.audio.types import INPUT_RATE, Samples
from dragoman.audio.writing import replacing

NEAR_S: Final = 0.12
"""A silence that the detector hears so long before the true end is that of the end."""

_AROUND: Final = round(0.3 * INPUT_RATE)
_PARTIAL: Final = round(0.32 * INPUT_RATE)
_AFTER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Pause:
    """The ``text`` of a turn so far, at a silence that the detector heard at ``at_s``, and whether the turn is
    ``over``; ``before``: the dialogue (role, text) that the turn stands in.
    """

    conversation: str
    before: tuple[tuple[str, str], ...]
    text: str
    at_s: float
    over: bool


def pauses_of(conversation: Conversation, recognizer: Recognizer) -> Iterator[Pause]:
    """The pauses of all turns that are answered."""
    edges = _edges(conversation.pcm)
    for event in conversation.user:
        if event.answered:
            yield from _pauses(conversation, event, edges, recognizer)


def _pauses(
    conversation: Conversation, event: UserEvent, edges: Sequence[tuple[int, Started | Ended]], recognizer: Recognizer
) -> Iterator[Pause]:
    stream: RecognizerStream | None = None
    fed, before = 0, tuple(dialogue_before(conversation, first_decided(event.start_s)))
    for known, edge in edges:
        if known / INPUT_RATE > event.end_s + _AFTER_S:
            return
        if isinstance(edge, Started):
            if stream is None and known / INPUT_RATE >= event.start_s:
                stream, fed = recognizer.open("en"), max(0, edge.at - _AROUND)
            continue
        if stream is None:
            continue
        while known - fed > _PARTIAL:  # as in a session, which does not wait for a pause
            stream.accept(conversation.pcm[fed : fed + _PARTIAL])
            fed += _PARTIAL
            stream.partial()
        stream.accept(conversation.pcm[fed:known])
        fed = known
        text = stream.ended().text.strip()
        at_s = edge.at / INPUT_RATE
        over = at_s >= event.end_s - NEAR_S
        if text and (over or any(pause.start_s - NEAR_S <= at_s <= pause.end_s for pause in event.pauses)):
            yield Pause(conversation.id, before, text, at_s, over)


def _edges(pcm: Samples) -> list[tuple[int, Started | Ended]]:
    """What the session's detector hears, each edge with the sample at which it is known."""
    vad, edges = SileroVad(), SpeechEdges()
    found = []
    for start in range(0, len(pcm) - WINDOW + 1, WINDOW):
        edge = edges.push(vad.probability(pcm[start : start + WINDOW]))
        if edge is not None:
            found.append((start + WINDOW, edge))
    return found


def pauses_path(shard: Path) -> Path:
    """Where the pauses of a shard lie."""
    return shard.with_suffix(".pauses.jsonl")


def make_pauses(shard: Path, recognizer: Recognizer, told: Callable[[float], None] = lambda seconds: None) -> Path:
    """Listen to a shard's turns, unless it was done; the file appears whole or not at all.

    ``told`` is given the seconds of each conversation that is done, some 15 of them a second. Raises ``DragomanError``.
    """
    path = pauses_path(shard)
    if path.is_file():
        return path
    lines = []
    for conversation in load_conversations(shard):
        lines += [json.dumps(asdict(pause)) for pause in pauses_of(conversation, recognizer)]
        told(conversation.seconds)
    with replacing(path) as partial:
        partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def load_pauses(path: Path) -> list[Pause]:
    """The pauses of a shard. Raises ``DragomanError``."""
    with expecting("the pauses of a shard", path, ANEW):
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [
            Pause(
                one["conversation"],
                tuple((role, text) for role, text in one["before"]),
                one["text"],
                float(one["at_s"]),
                bool(one["over"]),
            )
            for one in found
        ]
