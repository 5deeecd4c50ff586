"""The session's replies as responses.

A response is done when it is written, and its client plays on. The reply behind it is over when it was played: until
then it can be cut, or held because the user speaks over it. Clients stop playing then, so a response that is not
done yet is cancelled; and if it was only a cough, the rest of the reply is a new response.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from dragoman.agent import events as on
from dragoman.audio.types import OUTPUT_RATE, Json, Samples, Word
from dragoman.tts.speakable import Cleaner
from dragoman.web.events import ServerEvent
from dragoman.web.items import HEARD_SLACK_S, Item, View
from dragoman.web.responses import Outcome, Reason, Response

_OUTCOMES: dict[on.ReplyStatus, Outcome] = {
    "completed": "completed",
    "interrupted": "cancelled",
    "cancelled": "cancelled",
    "failed": "failed",
}
_REASONS: dict[on.ReplyStatus, Reason] = {"interrupted": "turn_detected", "cancelled": "client_cancelled"}


@dataclass(slots=True)
class _Reply:
    """The session's reply; its sound is kept until it ends, so that it can be taken up again."""

    number: int
    item: Item
    """The newest of its items."""
    response: Response | None
    """What is being sent of it; None while it is held, and once it was written or stopped."""
    written: bool = False
    limited: bool = False
    """It would go on, but may not be longer."""
    held: bool = False
    stopped: bool = False
    newest: str = ""
    """Id of the newest of its responses."""
    text: str = ""
    pcm: list[Samples] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)

    def words_before(self, seconds: float) -> int:
        return sum(word.end <= seconds + HEARD_SLACK_S for word in self.words)


class Replies:
    """At most one reply is spoken, and at most one response is promised (``response.created``, nothing more yet)."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._promised: Response | None = None
        self._reply: _Reply | None = None
        self._cancelled = 0
        """A reply whose response was cancelled before it began: it and older ones are nobody's."""
        self.spoke = False
        """Whether any sound was sent."""

    @property
    def active(self) -> Response | None:
        """The response in progress."""
        return self._promised or (self._reply.response if self._reply else None)

    @property
    def promised(self) -> bool:
        """Whether a response was promised that has not begun."""
        return self._promised is not None

    @property
    def held(self) -> bool:
        """Whether a reply is silent now, but may be taken up again."""
        return self._reply is not None and self._reply.held and not self._reply.stopped

    @property
    def held_response(self) -> str | None:
        """Id of the response that may be taken up again in another."""
        return self._reply.newest if self._reply is not None and self.held else None

    @property
    def busy(self) -> bool:
        """Whether the session has a reply that is not over yet."""
        return self._reply is not None

    def promise(self, metadata: dict[str, str] | None, limit: int | str | None) -> list[ServerEvent]:
        """The client asked for a response, and the session was told."""
        self._promised = response = self._new_response()
        response.metadata = metadata
        response.max_output_tokens = limit or response.max_output_tokens
        return response.create()

    def cancel(self, stopped: int) -> list[ServerEvent]:
        """The client ended the response in progress, and with it the session's reply ``stopped``, which it may yet tell
        of.
        """
        promised, self._promised = self._promised, None
        if promised is not None:
            self._cancelled = stopped or self._cancelled
            return promised.end("cancelled", "", reason="client_cancelled")
        return self._stop("client_cancelled")

    def cut(self, number: int) -> list[ServerEvent]:
        """The client cut the reply that is being spoken: the session ends it."""
        reply = self._reply
        active = reply is not None and reply.number == number and reply.response is not None
        return self._stop("client_cancelled") if active else []

    def let_go(self) -> bool:
        """A held reply will not be taken up again; whether there was one."""
        if self._reply is None or not self.held:
            return False
        self._reply.stopped = True
        return True

    def started(self, number: int) -> list[ServerEvent]:
        """A reply begins: it is the promised response, if there is one."""
        if number <= self._cancelled:
            return []
        promised, self._promised = self._promised, None
        response = promised or self._new_response()
        self._reply = reply = _Reply(number, response.item, response)
        return ([] if promised else response.create()) + self._begin(reply, response, 0.0)

    def opened(self, number: int, text: str, trust: float) -> list[ServerEvent]:
        """It begins with the fast path's words, which the verifier trusted so much."""
        reply = self._current(number)
        if reply is None:
            return []
        return self._view.extra("opening", item_id=reply.item.id, text=text, trust=round(trust, 3))

    def text(self, number: int, text: str) -> list[ServerEvent]:
        """More of its text."""
        reply = self._current(number)
        if reply is None:
            return []
        reply.text += text
        return reply.response.text(text) if reply.response else []

    def audio(self, number: int, pcm: Samples, words: tuple[Word, ...]) -> list[ServerEvent]:
        """More of its sound; ``words`` are timed from the reply's first sample."""
        reply = self._current(number)
        if reply is None or not len(pcm):
            return []
        reply.pcm.append(pcm)
        reply.words.extend(words)
        return self._speak(reply.response, pcm, words) if reply.response else []

    def written(self, number: int, limited: bool) -> list[ServerEvent]:
        """All its text and sound is there, or all that there may be; it may still be playing."""
        reply = self._current(number)
        if reply is None:
            return []
        reply.written, reply.limited = True, limited
        return self._complete(reply)

    def hold(self, number: int, position: float) -> list[ServerEvent]:
        """Playing stopped after ``position`` seconds, for now."""
        reply = self._current(number)
        if reply is None:
            return []
        reply.held = True
        response, reply.response = reply.response, None
        if response is None:
            return []
        heard = response.item.heard(position - response.item.offset)
        return response.end("cancelled", heard if response.speaks else response.written, reason="turn_detected")

    def resume(self, number: int, position: float) -> list[ServerEvent]:
        """Playing goes on from ``position`` seconds: a new response with the rest."""
        reply = self._current(number)
        if reply is None or not reply.held:
            return []
        reply.held, before = False, reply.item
        if before.kind == "output_audio":  # it may have been written to its end
            before.cut(position - before.offset)
        past = reply.words_before(position)
        response = self._new_response()
        events = response.create() + self._begin(reply, response, position)
        events += response.text(_unsaid(reply.text, reply.words[:past]))
        if reply.pcm:
            rest = np.concatenate(reply.pcm)[round(position * OUTPUT_RATE) :]
            events += self._speak(response, rest, tuple(reply.words[past:]))
        return events + (self._complete(reply) if reply.written else [])

    def done(self, happened: on.ReplyDone) -> list[ServerEvent]:
        """It is over, and the history holds what was heard of it."""
        outcome, reason = _OUTCOMES[happened.status], _REASONS.get(happened.status)
        reply = self._reply
        if happened.reply <= self._cancelled:
            return []
        if reply is None or reply.number != happened.reply:
            promised, self._promised = self._promised, None
            return promised.end(outcome, "", reason=reason, message=happened.reason) if promised else []
        self._reply = None
        item, response = reply.item, reply.response
        heard = " ".join(happened.heard.split()[reply.words_before(item.offset) if item.offset else 0 :])
        if response is not None:
            text = heard if response.speaks else response.written
            return response.end(outcome, text, reason=reason, message=happened.reason)
        if item.kind == "output_audio" and happened.status != "completed":
            item.text = heard
        return []

    def failed(self, message: str) -> list[ServerEvent]:
        """Something failed before the promised response began."""
        promised, self._promised = self._promised, None
        return promised.end("failed", "", message=message) if promised else []

    def _begin(self, reply: _Reply, response: Response, offset: float) -> list[ServerEvent]:
        item = response.item
        item.reply, item.offset = reply.number, offset
        reply.response, reply.item, reply.newest = response, item, response.id
        return response.begin(self._view.items.add(item))

    def _speak(self, response: Response, pcm: Samples, words: tuple[Word, ...]) -> list[ServerEvent]:
        if not response.speaks:  # it began to be spoken, and then only text was wanted
            return []
        self.spoke = True
        local = tuple(word.shifted(-response.item.offset) for word in words)
        timed: list[Json] = [[word.text, round(word.start * 1000), round(word.end * 1000)] for word in local]
        return self._view.extra("words", item_id=response.item.id, words=timed) + response.audio(pcm, local)

    def _complete(self, reply: _Reply) -> list[ServerEvent]:
        response, reply.response = reply.response, None
        if response is None:
            return []
        if reply.limited:
            return response.end("incomplete", response.written, reason="max_output_tokens")
        return response.end("completed", response.written)

    def _stop(self, reason: Reason) -> list[ServerEvent]:
        """End the response that is being spoken, for good; ``done`` will tell what was heard of it."""
        reply = self._reply
        if reply is None:
            return []
        reply.stopped = True
        response, reply.response = reply.response, None
        return response.end("cancelled", response.written, reason=reason) if response else []

    def _current(self, number: int) -> _Reply | None:
        reply = self._reply
        return reply if reply is not None and reply.number == number and not reply.stopped else None

    def _new_response(self) -> Response:
        view, config = self._view, self._view.config
        output = config.audio.output
        item = Item(view.new_id("item"), "assistant", "output_audio" if config.speaks else "output_text")
        return Response(
            id=view.new_id("resp"),
            item=item,
            form=output.format,
            speaks=config.speaks,
            conversation=view.conversation,
            input_words=len(config.instructions.split()) + sum(len(each.text.split()) for each in view.items),
            voice=output.voice_name,
            max_output_tokens=config.max_output_tokens,
        )


def _unsaid(text: str, heard: Iterable[Word]) -> str:
    """What follows, in a written text, the words that were heard of it: not all that is written is a word to say."""
    cleaner, left, cut = Cleaner(), deque(word.text for word in heard), 0
    for token in re.finditer(r"\S+\s*", text):
        words = cleaner.feed(token.group()) + (cleaner.flush() if token.end() == len(text) else [])
        for word in words:
            if left and word.text == left[0]:
                left.popleft()
                cut = token.end()
    return text[cut:]
