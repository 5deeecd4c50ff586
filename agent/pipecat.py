"""The hand-off inside a pipecat pipeline: ``relayed(llm, relay, server)`` stands where ``llm`` stood.

::

    Pipeline([
        transport.input(), stt, pair.user(),
        relayed(llm, relay, server_kind("llama.cpp")),
        tts, transport.output(), pair.assistant(),
    ])

When the user's turn is over, the first words are drafted and judged. Trusted ones go to the voice at once, and the
language model goes on from them; the history gets both as one message. Otherwise it answers alone, as ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dragoman.agent.llm.amending import Amender
from dragoman.agent.llm.prefill import ASKED, Seam, last_message, server_kind
from dragoman.agent.llm.servers import Kind
from dragoman.agent.relay import Opening, Relay

try:
    from pipecat.frames.frames import (
        AggregatedTextFrame,
        DataFrame,
        Frame,
        InterruptionFrame,
        LLMConfigureOutputFrame,
        LLMContextFrame,
        LLMFullResponseEndFrame,
        LLMFullResponseStartFrame,
        LLMTextFrame,
    )
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.processors.aggregators.llm_context import (
        LLMContext,
        LLMContextMessage,
        LLMSpecificMessage,
        standard_message_text,
    )
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
    from pipecat.services.openai.llm import OpenAILLMService
    from pipecat.utils.text.base_text_aggregator import TextType
except ImportError as error:
    raise ImportError(
        "dragoman.agent.pipecat needs pipecat-ai 1.14 or newer: pip install 'dragoman[pipecat]'"
    ) from error


def relayed(llm: FrameProcessor, relay: Relay, server: Kind = ASKED) -> Pipeline:
    """``llm``, and before it the relay; to be put between the user's context aggregator and the voice.

    ``server`` tells how the language model continues a beginning: ``server_kind("llama.cpp")``, say. On vLLM, ``llm``
    must be a ``VLLMService``. The default asks any model in words. A model that marks incomplete turns of the user
    (``filter_incomplete_user_turns``) can't be relayed: its replies begin with a mark.
    """
    return Pipeline([RelayOpener(relay, server), llm, RelaySeam(server)])


class VLLMService(OpenAILLMService):
    """A language model on vLLM, told to go on where the last message is the assistant's."""

    def build_chat_completion_params(self, params_from_context: Any) -> dict[str, Any]:
        """See ``OpenAILLMService``."""
        params: dict[str, Any] = super().build_chat_completion_params(params_from_context)
        if params["messages"] and params["messages"][-1].get("role") == "assistant":
            params["extra_body"] = {**server_kind("vLLM").extra, **params.get("extra_body", {})}
        return params


@dataclass
class OpeningFrame(DataFrame):
    """The first words of the reply that the next context will get; empty where it has none.

    It goes through the language model's queue, so that it comes behind the reply before.
    """

    text: str = ""
    trust: float = 0.0


class RelayOpener(FrameProcessor):
    """Stands before the language model: drafts, and hands it the history with the beginning that is being said.

    Contexts that are a guess at the user's turn, that end with something else than the user's words (a tool's result),
    or whose reply is not to be spoken, pass as they are. An interruption stops the draft.
    """

    def __init__(self, relay: Relay, server: Kind = ASKED) -> None:
        super().__init__()
        self._relay, self._server = relay, server
        self._mute = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """See ``FrameProcessor``."""
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMConfigureOutputFrame):
            self._mute = bool(frame.skip_tts)
        if isinstance(frame, LLMContextFrame) and direction is FrameDirection.DOWNSTREAM:
            opening = None if self._mute or frame.speculation else await self._begin(frame.context)
            if opening is None:
                await self.push_frame(OpeningFrame())
            else:
                await self.push_frame(OpeningFrame(opening.text, opening.trust))
                frame = LLMContextFrame(_Begun(frame.context, last_message(opening.text, self._server)))
        await self.push_frame(frame, direction)

    async def _begin(self, context: LLMContext) -> Opening | None:
        try:
            return await self._relay.begin(_dialogue(context))
        except Exception as error:  # the language model answers alone
            await self.push_error(f"the first words could not be drafted: {error}", exception=error)
            return None


class RelaySeam(FrameProcessor):
    """Stands behind the language model: begins the reply with the opening, and joins the model's words to it."""

    def __init__(self, server: Kind = ASKED) -> None:
        super().__init__()
        self._server = server
        self._seam: Seam | None = None
        self._amender = Amender("")

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """See ``FrameProcessor``."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            self._seam = None
        if direction is not FrameDirection.DOWNSTREAM:
            await self.push_frame(frame, direction)
        elif isinstance(frame, OpeningFrame):
            await self._open(frame.text)
        elif self._seam is None:
            await self.push_frame(frame, direction)
        elif isinstance(frame, LLMTextFrame):
            await self._say(self._amender.feed(self._seam.feed(frame.text)))
        elif isinstance(frame, LLMFullResponseEndFrame):
            seam, self._seam = self._seam, None
            await self._say(self._amender.feed(seam.close()) + self._amender.close())
            await self.push_frame(frame, direction)
        elif not isinstance(frame, LLMFullResponseStartFrame):  # the reply has begun already
            await self.push_frame(frame, direction)

    async def _open(self, text: str) -> None:
        if self._seam is not None:  # the language model never took up the last one
            self._seam = None
            await self.push_frame(LLMFullResponseEndFrame())
        if not text:
            return
        self._seam, self._amender = Seam(text, self._server), Amender(text)
        await self.push_frame(LLMFullResponseStartFrame())
        # As text of a model it would wait in the voice for the end of its sentence: an aggregate is spoken at once.
        opening = AggregatedTextFrame(text, TextType.SENTENCE)
        opening.includes_inter_frame_spaces = True
        await self.push_frame(opening)

    async def _say(self, text: str) -> None:
        if text:
            await self.push_frame(LLMTextFrame(text))


class _Begun(LLMContext):
    """A conversation as it is, seen with one message more: what a tool changes here is changed there.

    The message is no part of the history: what was said of it comes there from the voice.
    """

    __slots__ = ("_context", "_message")

    def __init__(self, context: LLMContext, message: dict[str, str]) -> None:
        object.__setattr__(self, "__dict__", context.__dict__)  # all but the two slots is the conversation's own
        self._context, self._message = context, message

    def get_messages(
        self, llm_specific_filter: str | None = None, *, truncate_large_values: bool = False
    ) -> list[LLMContextMessage]:
        """See ``LLMContext``."""
        before = self._context.get_messages(llm_specific_filter, truncate_large_values=truncate_large_values)
        return [*before, self._message]  # type: ignore[list-item]


def _dialogue(context: LLMContext) -> list[tuple[str, str]]:
    """The turns of a history, none where it does not end with the user's words alone."""
    messages = context.get_messages()
    last = messages[-1] if messages else None
    if last is None or isinstance(last, LLMSpecificMessage) or last.get("role") != "user":
        return []
    content = last.get("content")
    if not isinstance(content, str) and any(part.get("type") != "text" for part in content or ()):
        return []  # a picture or a sound, which the drafter would not see
    turns = [
        (str(message["role"]), standard_message_text(message).strip())
        for message in messages
        if not isinstance(message, LLMSpecificMessage) and message.get("role") in ("user", "assistant")
    ]
    return [(role, text) for role, text in turns if text]
