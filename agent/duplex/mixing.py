"""From a dialogue to a conversation: who sounds when, what the microphone makes of it, and the labels' truth.

The agent of these conversations does what the model shall learn: it begins at the first decision 200 ms after the true
end of a turn, it goes on under a sign of attention, and it stops for an interruption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

import numpy as np

from dragoman.agent.duplex.answers import Answer, Dialogue
from dragoman.agent.duplex.conversation import (
    AgentUtterance,
    Conversation,
    Pause,
    Situation,
    Split,
    UserEvent,
    UserKind,
)
from dragoman.agent.duplex.delivery import GRID, Delivery, broken_off, deliver, spoken
from dragoman.agent.duplex.frames import BEGIN_AFTER_S, FRAME, STOP_AFTER_S, decided_s, first_decided
from dragoman.agent.duplex.personas import Persona
from dragoman.agent.duplex.scripts import Exchange
from dragoman.asr.causal.augment import augment_apart, noise
from dragoman.audio.levels import rms
from dragoman.audio.text import ends_clause, ends_sentence
from dragoman.audio.types import INPUT_RATE, Samples

LISTENING: Final = ("Mm-hm.", "Uh-huh.", "I see.", "Right.", "Okay.", "Got it.", "Yeah.", "Sure.")
"""What the agent says while the user keeps the floor."""

_LONG_TURN_S: Final = 3.0
"""Speech after which a listener gives a sign, at the end of a clause."""

_STILL_S: Final = 1.0
"""Speech that must follow that sign."""

_FADE: Final = 320


@dataclass(frozen=True, slots=True)
class Take:
    """A conversation, and both voices of it alone, at 16 kHz, as long as its sound."""

    conversation: Conversation
    user: Samples
    agent: Samples


def stage(
    dialogue: Dialogue, split: Split, user: Persona, agent: Persona, seed: str, babble: Samples | None = None
) -> Take:
    """Speak and mix a dialogue. Everything that is left to chance comes from ``seed``; ``babble``: someone else's
    voice, for the background. Raises ``Unspeakable``.
    """
    rng = Random(seed)
    scene = _Scene(rng, user, agent)
    scene.play(dialogue)
    heard, said = scene.tracks()
    sound, echo, echo_db = _microphone(heard, said, np.random.default_rng(rng.randrange(2**32)), babble)
    conversation = Conversation(
        id=dialogue.script.id,
        split=split,
        language="en",
        pcm=sound,
        context=dialogue.script.context,
        user=tuple(scene.events),
        agent=tuple(sorted(scene.utterances, key=lambda said: said.frame)),
        user_voice=user.name,
        agent_voice=agent.name,
        echo_db=echo_db,
        echo=echo,
    )
    return Take(conversation, heard, said)


class _Scene:
    """What has sounded so far; ``now`` is when the last of it ended."""

    def __init__(self, rng: Random, user: Persona, agent: Persona) -> None:
        self.events: list[UserEvent] = []
        self.utterances: list[AgentUtterance] = []
        self._rng = rng
        self._user = user
        self._agent = agent
        self._now = rng.uniform(0.3, 2.0)
        self._user_sounds: list[tuple[int, Samples]] = []
        self._agent_sounds: list[tuple[int, Samples]] = []

    def play(self, dialogue: Dialogue) -> None:
        """Every exchange, one after the other."""
        asked = any(role == "assistant" and text.endswith("?") for role, text in dialogue.script.context[-1:])
        onset: float | None = None
        for i, exchange in enumerate(dialogue.exchanges):
            onset = self._turn(exchange, onset, asked=asked)
            answer, interrupted = dialogue.answers[i], dialogue.interrupted[i]
            onset = self._reply(answer, interrupted, exchange.backchannel)
            asked = answer.complete and answer.text.endswith("?")

    def tracks(self) -> tuple[Samples, Samples]:
        """The user's and the agent's voice alone: whole frames, with some silence after the last sound."""
        seconds = self._now + self._rng.uniform(1.0, 3.0)
        count = -(-round(seconds * INPUT_RATE) // FRAME) * FRAME
        return _track(self._user_sounds, count), _track(self._agent_sounds, count)

    def _turn(self, exchange: Exchange, onset: float | None, *, asked: bool) -> float:
        """The user takes the floor: at ``onset`` over the agent's voice, or after it. Gives the turn's end."""
        situation = "answer" if asked and exchange.situation == "chat" else exchange.situation
        if onset is None:
            at = self._now + self._gap(asked)
            if exchange.false_start:
                started = broken_off(self._rng, self._user, exchange.said)
                at = self._speak(started, at, "false-start", exchange.text, situation).end_s
                at += self._rng.uniform(0.25, 1.1)
        else:
            at = onset
        delivery = deliver(self._rng, self._user, exchange.said, situation, at_once=onset is not None)
        kind: UserKind = "turn" if onset is None else "interruption"
        event = self._speak(delivery, at, kind, exchange.text, situation)
        self._listen(event)
        self._now = event.end_s
        return event.end_s

    def _reply(self, answer: Answer, interrupted: int | None, backchannel: str | None) -> float | None:
        """The agent answers. Gives the moment at which the user breaks in, if so."""
        frame = first_decided(self._now + BEGIN_AFTER_S)
        delay = self._rng.uniform(0.05, 0.3) if self._rng.random() < 0.8 else self._rng.uniform(0.3, 1.2)
        start = _on_grid(decided_s(frame) + delay)
        delivery = spoken(self._rng, self._agent, answer.text.split(), {})
        said = AgentUtterance("reply", answer.text, frame, start, start + delivery.seconds, answer.complete)
        onset = None
        if interrupted is not None:
            # So that the wanted words are heard by the time of the decision, half a frame late in the mean.
            wanted = start + delivery.words[min(interrupted, len(delivery.words)) - 1].end - STOP_AFTER_S - 0.08
            onset = _on_grid(max(wanted, start + 0.2))
            frame = first_decided(onset + STOP_AFTER_S)
            if decided_s(frame) < said.end_s - 0.1:
                heard = sum(1 for word in delivery.words if start + (word.start + word.end) / 2 < decided_s(frame))
                said = replace(said, end_s=decided_s(frame), stop_frame=frame, heard=heard)
            else:
                onset = None
        length = round((said.end_s - start) * INPUT_RATE)
        self._agent_sounds.append((round(start * INPUT_RATE), _ended(delivery.pcm[:length])))
        self.utterances.append(said)
        self._now = said.end_s
        if onset is None and backchannel is not None and delivery.seconds > 1.2:
            self._attend(backchannel, said)
        return onset

    def _attend(self, text: str, said: AgentUtterance) -> None:
        """The user gives a sign of attention over the agent's voice."""
        at = said.start_s + (said.end_s - said.start_s) * self._rng.uniform(0.25, 0.85)
        text = _sign(text, self._user)
        event = self._speak(spoken(self._rng, self._user, text.split(), {}), at, "backchannel", text)
        self._now = max(self._now, event.end_s + 0.2)

    def _listen(self, event: UserEvent) -> None:
        """The agent gives signs of attention while the user speaks for long."""
        since, speaking = event.start_s, 0.0
        for word, after in zip(event.words, event.words[1:], strict=False):
            speaking = word.end - since - _paused(event.pauses, since, word.end)
            clause = ends_clause(word.text) or ends_sentence(word.text)
            if not clause or speaking < _LONG_TURN_S or event.end_s - after.start < _STILL_S:
                continue
            since = word.end
            if self._rng.random() < 0.6:
                frame = first_decided(word.end + BEGIN_AFTER_S)
                start = _on_grid(decided_s(frame) + self._rng.uniform(0.02, 0.12))
                text = _sign(self._rng.choice(LISTENING), self._agent)
                delivery = spoken(self._rng, self._agent, text.split(), {})
                self._agent_sounds.append((round(start * INPUT_RATE), delivery.pcm))
                self.utterances.append(AgentUtterance("backchannel", text, frame, start, start + delivery.seconds))

    def _speak(
        self, delivery: Delivery, at: float, kind: UserKind, text: str, situation: Situation = "chat"
    ) -> UserEvent:
        at = _on_grid(at)
        self._user_sounds.append((round(at * INPUT_RATE), delivery.pcm))
        words = tuple(word.shifted(at) for word in delivery.words)
        pauses = tuple(Pause(at + p.start_s, at + p.end_s, p.place) for p in delivery.pauses)
        event = UserEvent(kind, at, at + delivery.seconds, words, text, situation, pauses)
        self.events.append(event)
        return event

    def _gap(self, asked: bool) -> float:
        """From the agent's last sound to the user's first: now and then a little less than nothing."""
        kind = self._rng.random()
        over = bool(self.utterances) and self._now == self.utterances[-1].end_s
        if kind < 0.12 and over:
            return -self._rng.uniform(0.02, 0.18)
        if kind < 0.7:
            return self._rng.uniform(0.2, 0.9) + 0.3 * asked
        return self._rng.uniform(0.9, 2.0) if kind < 0.92 else self._rng.uniform(2.0, 6.0)


def _microphone(
    user: Samples, agent: Samples, rng: np.random.Generator, babble: Samples | None
) -> tuple[Samples, Samples | None, float | None]:
    """What the microphone hears, the echo in it, and the level of that."""
    level = rms(user[np.abs(user) > 1e-3])
    parts, echo_db = [user.copy()], None
    if rng.random() < 0.4:
        echo_db = float(rng.uniform(-32, -6))
        parts.append(_echo(agent, rng) * (level * 10 ** (echo_db / 20)))
    if rng.random() < 0.25:
        parts[0] += _knocks(len(user), rng) * level
    quiet, *echoes = augment_apart(parts, rng, babble)
    echo = echoes[0] if echoes else None
    heard = quiet if echo is None else quiet + echo
    return np.asarray(np.clip(heard, -1.0, 1.0), np.float32), echo, echo_db


def _echo(agent: Samples, rng: np.random.Generator) -> Samples:
    """The agent's voice from the loudspeaker, some hundredths of a second late, its speech of unit power."""
    delay = int(rng.uniform(0.01, 0.08) * INPUT_RATE)
    line = np.arange(int(0.03 * INPUT_RATE)) / INPUT_RATE
    path = rng.standard_normal(len(line)) * np.exp(-line / rng.uniform(0.002, 0.01))
    path[0] = 1.0
    size = len(agent) + len(path)
    heard = np.fft.irfft(np.fft.rfft(agent, size) * np.fft.rfft(path, size), size)[: len(agent)]
    heard = np.concatenate([np.zeros(delay), heard])[: len(agent)]
    loud = rms(heard[np.abs(agent) > 1e-3].astype(np.float32))
    return np.asarray(heard / max(loud, 1e-6), np.float32)


def _knocks(count: int, rng: np.random.Generator) -> Samples:
    """Short sounds that are no speech: a knock, a key, a chair."""
    out = np.zeros(count, np.float32)
    for _ in range(int(rng.integers(1, 8))):
        length = int(rng.uniform(0.02, 0.4) * INPUT_RATE)
        line = np.arange(length) / length
        burst = noise(length, rng) * np.minimum(line * 20, 1) * np.exp(-line * rng.uniform(2, 9))
        at = int(rng.integers(0, max(1, count - length)))
        out[at : at + length] += (burst * 10 ** (rng.uniform(-30, 3) / 20))[: count - at].astype(np.float32)
    return out


def _sign(text: str, persona: Persona) -> str:
    """A sign of attention that this voice can give."""
    return text if persona.hums else text.replace("Mm-hm", "Uh-huh")


def _track(sounds: Sequence[tuple[int, Samples]], count: int) -> Samples:
    out = np.zeros(count, np.float32)
    for at, pcm in sounds:
        out[at : at + len(pcm)] += pcm[: max(0, count - at)]
    return out


def _ended(pcm: Samples) -> Samples:
    """A copy that dies away in its last 20 ms: a voice that is stopped."""
    out = pcm.copy()
    count = min(_FADE, len(out))
    out[len(out) - count :] *= np.linspace(1.0, 0.0, count, dtype=np.float32)
    return out


def _paused(pauses: Sequence[Pause], start: float, end: float) -> float:
    return sum(pause.seconds for pause in pauses if start <= pause.start_s and pause.end_s <= end)


def _on_grid(seconds: float) -> float:
    return round(seconds * INPUT_RATE / GRID) * GRID / INPUT_RATE
