"""What a conversation needs from its models: small protocols, each with an embedded default and a scale-up.

Every method that computes is blocking and is called on a worker thread, never on the event loop; each object says
whether several threads may call it at once. Only the responder is asynchronous, because it may be on a network.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from dragoman.audio.types import Samples, Speech, Word
from dragoman.translation.steering import Translator as Translator

Role: TypeAlias = Literal["system", "user", "assistant"]


class HypothesisLike(Protocol):
    """What a recognizer believes was said so far."""

    @property
    def text(self) -> str:
        """The words, with case and punctuation."""

    @property
    def words(self) -> Sequence[Word]:
        """Words in seconds from the first sample that the stream accepted; may be empty for partials."""

    @property
    def stable(self) -> int:
        """How many leading words will not change any more."""

    @property
    def language(self) -> str:
        """ISO 639-1 code: fixed, or detected and then held."""


class RecognizerStream(Protocol):
    """One speaker's ear for one turn; one thread at a time."""

    def accept(self, pcm: Samples) -> None:
        """Take more sound, 16 kHz mono, any length. Cheap: may be called on the event loop."""

    def partial(self) -> HypothesisLike:
        """Decode what has been accepted. Blocking."""

    def ended(self) -> HypothesisLike:
        """The text if the speech ends here, its last word included, without a second pass. Blocking.

        More sound may follow (the turn went on).
        """

    def refined(self) -> HypothesisLike | None:
        """The same by a second, slower and better pass; None where there is none. Blocking.

        Another thread may call the other methods meanwhile.
        """

    def final(self) -> HypothesisLike:
        """The best text of all that has been accepted, by the second pass where there is one. Blocking."""


class Recognizer(Protocol):
    """A speech recognizer shared by all sessions; safe to call from several threads."""

    def open(self, language: str | None = None) -> RecognizerStream:
        """An ear for a new turn; ``language`` None detects it and holds it for the turn."""


class VoiceActivity(Protocol):
    """One speaker's voice activity detector. Fast enough (under 1 ms) for the event loop."""

    @property
    def hop(self) -> int:
        """Samples per decision, at 16 kHz."""

    def probability(self, window: Samples) -> float:
        """Probability of speech in the next ``hop`` samples."""


class TurnDetector(Protocol):
    """Judges whether a pause is the end of a turn."""

    def complete(self, text: str, asked: str = "") -> float:
        """Score in [0, 1] that nothing more will come after ``text``; ``asked``: what the agent said before it.

        Fast: called on the event loop.
        """


class SoundTurnDetector(Protocol):
    """Judges by ear whether a pause is the end of a turn; safe to call from several threads."""

    def complete(self, pcm: Samples) -> float:
        """Probability that nothing more will come after ``pcm``: the turn's last seconds up to now. Blocking."""


class Sink(Protocol):
    """Where the agent's voice goes: a speaker, a file, or nowhere (a client that plays by itself)."""

    @property
    def latency_s(self) -> float:
        """Seconds between ``write`` and the sound."""

    def write(self, frame: Samples) -> None:
        """Take the next 20 ms at 24 kHz. Must not block."""


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the history that the language model reads."""

    role: Role
    content: str


def unnoticed() -> None:
    """Nobody wants to know."""


class Responder(Protocol):
    """The language model that writes replies; shared by all sessions."""

    def reply(
        self,
        messages: Sequence[Message],
        *,
        prefix: str = "",
        max_tokens: int = 160,
        limited: Callable[[], None] = unnoticed,
    ) -> AsyncGenerator[str, None]:
        """Stream the reply's text. With ``prefix``, only what follows it: the model continues it as its own words.
        ``limited`` is called where it ends because it has ``max_tokens``.

        Closing the iterator stops the generation. Raises ``DragomanError``.
        """

    async def warm(self, messages: Sequence[Message], *, open_end: bool = False) -> None:
        """Read the prompt ahead, so that the first token of a reply that begins with it comes sooner.

        ``open_end``: the last message is still being spoken, and more words of it will come.
        """

    async def aclose(self) -> None:
        """Free the model."""


@runtime_checkable
class Bounded(Protocol):
    """A ``Responder`` whose context is known."""

    @property
    def longest(self) -> int:
        """Bytes of UTF-8 of a message that it reads whole; it may lose the beginning of a longer one."""


@runtime_checkable
class Conversing(Protocol):
    """A ``Responder`` that keeps what it has read of each conversation, if it is told whose that is."""

    def conversation(self) -> Responder:
        """The same model for one conversation, which holds its place for as long as somebody holds this."""


class Synthesizer(Protocol):
    """A voice; safe to call from several threads."""

    @property
    def language(self) -> str:
        """ISO 639-1 code of what it speaks."""

    def synthesize(self, text: str, *, rate: float = 1.0, final: bool = True) -> Speech:
        """Speak ``text``, trimmed of silence; ``final`` False: the utterance goes on after it. Blocking."""
