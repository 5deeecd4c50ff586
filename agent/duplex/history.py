"""What the model is taught frame by frame: its own past as it might have been, and what is to be decided.

Taught with a perfect past alone, a model doesn't know what to do after a late or a wrong decision of its own. So some
decisions of the past are made late, and stay due until they are made; and now and then a pause is taken for the end of
the turn, and the reply has to be stopped when the user goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dragoman.agent.duplex.conversation import AgentUtterance, Conversation, Pause
from dragoman.agent.duplex.frames import BEGIN_AFTER_S, STOP_AFTER_S, Control, decided_s, first_decided
from dragoman.agent.duplex.policy import OwnTokens
from dragoman.agent.duplex.vocabulary import Vocabulary

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

WORDS: Final = 6
"""Tokens of newly recognized words that a frame can hold."""

LATE: Final = (0.7, 0.15, 0.1, 0.05)
"""How often a decision of the past is 0, 1, 2, 3 frames late."""

KNOWN_AFTER_S: Final = 0.1
"""A word has been heard to its end this long after it."""

FALSE_BEGINS: Final = 0.12
"""How often a pause is taken for the end of a turn."""


@dataclass(frozen=True, slots=True)
class History:
    """Per frame: ``previous`` token of the model's own output and whether its voice is ``sounding``, the ``words`` that
    were newly recognized (tokens [frames, WORDS], -1 for none), and the ``due`` control.
    """

    previous: Numbers
    sounding: Flags
    words: Numbers
    due: Numbers


def make_history(
    conversation: Conversation, vocabulary: Vocabulary, rng: np.random.Generator | None = None, *, late: int = 0
) -> History:
    """The history of a conversation. Without ``rng`` every decision is made ``late`` frames behind its label, and every
    word is recognized.
    """
    frames = conversation.frames
    due, out = conversation.labels(), np.full(frames, Control.SIL, np.int64)
    sounding = conversation.agent_speaking().copy()
    texts: dict[int, list[int]] = {}
    for said in conversation.agent:
        begin = min(frames - 1, said.frame + _late(rng, late))
        control = Control.BOS if said.kind == "reply" else Control.BOC
        due[said.frame : begin + 1] = control
        out[begin] = control
        sounding[said.frame : begin + 1] = False
        if said.kind == "reply":
            texts[begin] = _fed(said, vocabulary, rng)
        if said.stop_frame is not None:
            stop = min(frames - 1, said.stop_frame + _late(rng, late))
            due[said.stop_frame : stop + 1] = Control.STP
            out[stop] = Control.STP
            sounding[said.stop_frame : stop + 1] = True
    if rng is not None:
        _begin_falsely(conversation, vocabulary, rng, due, out, sounding, texts)
    return History(_tokens(out, texts, vocabulary), sounding, _recognized(conversation, frames, vocabulary, rng), due)


def _late(rng: np.random.Generator | None, fixed: int = 0) -> int:
    return fixed if rng is None else int(rng.choice(len(LATE), p=LATE))


def _fed(said: AgentUtterance, vocabulary: Vocabulary, rng: np.random.Generator | None) -> list[int]:
    """The words that the model is given as its own while it speaks: those of its draft, and maybe some after it."""
    words = said.text.split()
    count = len(words) if rng is None else int(rng.integers(3, max(4, len(words) + 1)))
    tokens = vocabulary.write(" ".join(words[:count]))
    if said.complete and count >= len(words):
        tokens.append(vocabulary.control(Control.EOS))
    return tokens


def _tokens(out: Numbers, texts: dict[int, list[int]], vocabulary: Vocabulary) -> Numbers:
    """The token that each frame is given."""
    previous = np.empty_like(out)
    own = OwnTokens(vocabulary.whole)
    for frame, decided in enumerate(out):
        previous[frame] = own.previous
        own.decided(Control(int(decided)))
        if frame in texts:
            own.say(texts[frame])
    return previous


def _begin_falsely(
    conversation: Conversation,
    vocabulary: Vocabulary,
    rng: np.random.Generator,
    due: Numbers,
    out: Numbers,
    sounding: Flags,
    texts: dict[int, list[int]],
) -> None:
    """Take some pauses for the end of the turn: what is due at first is silence, and then to stop."""
    for event in conversation.user:
        for pause in event.pauses if event.answered else ():
            begin, stop = _false_begin(pause, rng)
            span = slice(begin, stop + 1)
            if stop >= len(out) or rng.random() >= FALSE_BEGINS or sounding[span].any() or (out[span] != 0).any():
                continue
            reply = next((said for said in conversation.agent if said.frame > stop and said.kind == "reply"), None)
            if reply is None or reply.frame <= stop + 1:
                continue
            out[begin], out[stop] = Control.BOS, Control.STP
            sounding[begin + 1 : stop + 1] = True
            texts[begin] = vocabulary.write(reply.text)
            due[max(begin + 1, first_decided(pause.end_s + STOP_AFTER_S)) : stop + 1] = Control.STP


def _false_begin(pause: Pause, rng: np.random.Generator) -> tuple[int, int]:
    begin = first_decided(pause.start_s + BEGIN_AFTER_S) + _late(rng)
    return begin, max(begin + 1, first_decided(pause.end_s + STOP_AFTER_S)) + _late(rng)


def _recognized(
    conversation: Conversation, frames: int, vocabulary: Vocabulary, rng: np.random.Generator | None
) -> Numbers:
    """Words as a streaming recognizer gives them: some time after their end, some never, for some users none."""
    words = np.full((frames, WORDS), -1, np.int64)
    if rng is not None and rng.random() < 0.3:
        return words
    delay, missed = (0.4, 0.0) if rng is None else (float(rng.uniform(0.2, 0.7)), float(rng.uniform(0, 0.1)))
    for event in conversation.user:
        for word in event.words:
            if rng is not None and rng.random() < missed:
                continue
            late = delay if rng is None else max(0.05, delay + float(rng.normal(0, 0.1)))
            frame = first_decided(word.end + late)
            if frame < frames:
                _put(words[frame], vocabulary.heard(word.text))
    return words


def said(conversation: Conversation, vocabulary: Vocabulary) -> Numbers:
    """Tokens [frames, WORDS], -1 for none, of the user's words that can be known since each frame."""
    words = np.full((conversation.frames, WORDS), -1, np.int64)
    for event in conversation.user:
        for word in event.words:
            frame = first_decided(word.end + KNOWN_AFTER_S)
            if frame < conversation.frames:
                _put(words[frame], vocabulary.heard(word.text))
    return words


def _put(row: Numbers, tokens: Sequence[int]) -> None:
    """Write as many of the tokens as there is room for behind those that are there."""
    room = np.flatnonzero(row < 0)[: len(tokens)]
    row[room] = tokens[: len(room)]


def dialogue_before(conversation: Conversation, frame: int) -> list[tuple[str, str]]:
    """The dialogue as text (role, words) before a frame: the context, and every turn that was over by then."""
    now = decided_s(frame - 1)
    turns = [(event.start_s, "user", event.text) for event in conversation.user if event.answered and event.end_s < now]
    for said in conversation.agent:
        if said.kind == "reply" and said.end_s < now:
            words = said.text.split()
            turns.append((said.start_s, "assistant", " ".join(words[: said.heard])))
    return [*conversation.context, *((role, text) for _, role, text in sorted(turns) if text)]
