"""What is in a folder of conversations: counts, lengths of gaps and pauses, voices; and samples to listen to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from dragoman.agent.duplex.conversation import SPLITS, Conversation, Split
from dragoman.agent.duplex.frames import FRAME_S, Control, decided_s
from dragoman.agent.duplex.mixing import Take
from dragoman.audio.files import save
from dragoman.audio.types import INPUT_RATE, Json

_GAPS: Final = (-0.3, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 4.0, 8.0)
_PAUSES: Final = (0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 1.75, 2.0, 4.0)
_WIDTH: Final = 40


@dataclass
class Report:
    """Sums over conversations; ``add`` them one by one."""

    conversations: Counter[str] = field(default_factory=Counter)
    seconds: dict[Split, float] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0.0))
    user: Counter[str] = field(default_factory=Counter)
    agent: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    situations: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    pauses: list[float] = field(default_factory=list)
    gaps_user: list[float] = field(default_factory=list)
    gaps_agent: list[float] = field(default_factory=list)
    turns: list[float] = field(default_factory=list)
    echoes: int = 0
    voices: dict[Split, set[str]] = field(default_factory=lambda: {split: set() for split in SPLITS})

    def add(self, conversation: Conversation) -> None:
        """Count one conversation in."""
        split = conversation.split
        self.conversations[split] += 1
        self.seconds[split] += conversation.seconds
        self.echoes += conversation.echo_db is not None
        for name in (conversation.user_voice, conversation.agent_voice):
            self.voices[split] |= {name}
        self.labels.update(Control(label).name for label in conversation.labels())
        self.agent.update(said.kind for said in conversation.agent)
        self.agent["stopped"] += sum(said.stop_frame is not None for said in conversation.agent)
        replies = [said for said in conversation.agent if said.kind == "reply"]
        for event in conversation.user:
            self.user[event.kind] += 1
            if not event.answered:
                continue
            self.situations[event.situation] += 1
            self.turns.append(event.end_s - event.start_s)
            for pause in event.pauses:
                self.places[pause.place] += 1
                self.pauses.append(pause.seconds)
            self.gaps_agent += [s.start_s - event.end_s for s in replies if s.start_s > event.end_s][:1]
            if event.kind == "turn":
                self.gaps_user += [event.start_s - s.end_s for s in replies if s.start_s < event.start_s][-1:]

    @property
    def inside(self) -> float:
        """The share of pauses that lie inside a phrase or after a filler; 0 when there are none."""
        return (self.places["phrase"] + self.places["filler"]) / max(1, self.places.total())

    def summary(self) -> dict[str, Json]:
        """Everything as numbers."""
        return {
            "hours": sum(self.seconds.values()) / 3600,
            "hours_by_split": {split: self.seconds[split] / 3600 for split in SPLITS},
            "conversations": dict(self.conversations),
            "user": dict(self.user),
            "agent": dict(self.agent),
            "labels": dict(self.labels),
            "situations": dict(self.situations),
            "pauses": len(self.pauses),
            "pauses_by_place": dict(self.places),
            "pauses_inside_phrases_or_after_fillers": self.inside,
            "pause_s": _quartiles(self.pauses),
            "turn_s": _quartiles(self.turns),
            "gap_before_user_s": _quartiles(self.gaps_user),
            "gap_before_agent_s": _quartiles(self.gaps_agent),
            "conversations_with_echo": self.echoes,
            "voices": {split: [*sorted(self.voices[split])] for split in SPLITS},
        }

    def text(self) -> str:
        """The same for people."""
        hours = ", ".join(f"{split} {self.seconds[split] / 3600:.2f}" for split in SPLITS)
        voices = ", ".join(f"{split} {len(self.voices[split])}" for split in SPLITS)
        lines = [
            f"{self.conversations.total()} conversations, {sum(self.seconds.values()) / 3600:.2f} hours ({hours})",
            f"voices: {voices}; echo in {self.echoes} conversations",
            f"user: {_counts(self.user)}; of the turns: {_counts(self.situations)}",
            f"agent: {_counts(self.agent)}",
            f"labels: {_counts(self.labels)}",
            f"{len(self.pauses)} pauses, {self.inside:.0%} inside a phrase or after a filler: {_counts(self.places)}",
            "",
            *histogram("pauses inside a turn, seconds", self.pauses, _PAUSES),
            *histogram("from the end of a turn to the agent's voice, seconds", self.gaps_agent, _GAPS),
            *histogram("from the end of the agent's voice to the next turn, seconds", self.gaps_user, _GAPS),
        ]
        return "\n".join(lines)


def histogram(title: str, values: Sequence[float], edges: Sequence[float]) -> list[str]:
    """Lines of text: how many values lie in [edge, next edge)."""
    counts, _ = np.histogram(values, [*edges[:-1], np.nextafter(edges[-1], np.inf)])
    most = max(1, int(counts.max(initial=0)))
    return [
        title,
        *(
            f"  {low:5.2f} to {high:5.2f}  {count:6d}  {'#' * round(_WIDTH * count / most)}"
            for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
        ),
    ]


def timeline(conversation: Conversation) -> str:
    """Who says what when, and what is to be decided: a line for each, in the order of time."""
    lines: list[tuple[float, str]] = []
    for event in conversation.user:
        said = " ".join(word.text for word in event.words)
        lines.append((event.start_s, f"{event.start_s:7.2f} {event.end_s:7.2f}  user {event.kind}: {said}"))
        for pause in event.pauses:
            lines.append((pause.start_s, f"{pause.start_s:7.2f} {pause.end_s:7.2f}    pause ({pause.place})"))
    for said_ in conversation.agent:
        text = f"{said_.text}{'' if said_.complete else ' ...'}"
        lines.append((said_.start_s, f"{said_.start_s:7.2f} {said_.end_s:7.2f}  agent {said_.kind}: {text}"))
    for frame in np.flatnonzero(conversation.labels()):
        name = Control(conversation.labels()[frame]).name
        lines.append((decided_s(int(frame)), f"{decided_s(int(frame)):7.2f}          {name} (frame {frame})"))
    head = [
        f"{conversation.id}: user {conversation.user_voice}, agent {conversation.agent_voice}, "
        f"{conversation.frames} frames of {FRAME_S:g} s, echo "
        + ("none" if conversation.echo_db is None else f"{conversation.echo_db:.0f} dB"),
        *(f"                 before: {role}: {text}" for role, text in conversation.context),
    ]
    return "\n".join([*head, *(line for _, line in sorted(lines, key=lambda pair: pair[0]))]) + "\n"


def save_sample(folder: Path, take: Take) -> Path:
    """Write a take to listen to, microphone left and agent right, and its timeline beside it. Gives its path."""
    path = folder / f"{take.conversation.id.replace('/', '-')}.wav"
    folder.mkdir(parents=True, exist_ok=True)
    save(path, np.stack([take.conversation.pcm, take.agent], 1), INPUT_RATE)
    path.with_suffix(".txt").write_text(timeline(take.conversation), encoding="utf-8")
    return path


def _quartiles(values: Iterable[float]) -> list[Json]:
    """The least, the quartiles and the greatest; empty without values."""
    found = list(values)
    return [round(float(value), 3) for value in np.quantile(found, [0, 0.25, 0.5, 0.75, 1])] if found else []


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())
