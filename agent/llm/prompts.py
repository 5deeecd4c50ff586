"""What a language model reads: the system prompt of a spoken conversation, and the history as ChatML text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from dragoman.agent.ports import Message

_LANGUAGES: Final = {
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "pt": "Portuguese",
}

TURN_END: Final = "<|im_end|>\n"
"""What ChatML writes after each message."""

_SPECIAL: Final = re.compile(r"<\|[a-z_]+\|>")

BYTES_PER_TOKEN: Final = 3
"""A cautious estimate: European languages have 3.3 to 4.3 bytes of UTF-8 per token, CJK about 4."""

_TURN_TOKENS: Final = 5
"""What ChatML adds to each message."""

_DROP_STEP: Final = 8


def system_prompt(language: str | None = None) -> str:
    """How to talk aloud; ``language`` (ISO 639-1) None answers each user in theirs."""
    tongue = _LANGUAGES.get(language or "", language)
    answer = f"Always answer in {tongue}." if tongue else "Answer in the language that the user speaks."
    return (
        "You are Dragoman, a warm and helpful partner in a spoken conversation. "
        "Reply naturally in one or two short sentences, as a person would say them aloud, "
        f"and never use lists, code, emoji or markdown. {answer}"
    )


def instructions_in_force(language: str | None, *given: str | None) -> str:
    """The first that is ``given``, even if it says nothing; where none is, how to talk aloud."""
    return next((own for own in given if own is not None), system_prompt(language))


def chatml(messages: Sequence[Message], prefix: str | None = "") -> str:
    """The history as ChatML, open for the assistant to go on after ``prefix``; closed when ``prefix`` is None.

    Control tokens inside a message are removed: nobody ends a turn by saying so.
    """
    turns = "".join(f"<|im_start|>{m.role}\n{_SPECIAL.sub('', m.content)}{TURN_END}" for m in messages)
    return turns if prefix is None else f"{turns}<|im_start|>assistant\n{prefix}"


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has, rather too many than too few."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def trim(messages: Sequence[Message], budget: int) -> list[Message]:
    """The history that fits in ``budget`` tokens: system messages and the latest turns, oldest dropped first.

    Turns are dropped eight at a time: the prompt then begins alike for several replies, and its cache holds. The
    last message always stays; if it alone is too long, its beginning is cut.
    """
    system = [message for message in messages if message.role == "system"]
    turns = [message for message in messages if message.role != "system"]
    left = budget - sum(_cost(message) for message in system)
    if not turns or sum(map(_cost, turns)) <= left:
        return system + turns
    drop, total = 0, sum(map(_cost, turns))
    while drop < len(turns) - 1 and total > left:
        total -= _cost(turns[drop])
        drop += 1
    drop = min(-(-drop // _DROP_STEP) * _DROP_STEP, len(turns) - 1)
    kept = turns[drop:]
    if len(kept) == 1 and _cost(kept[0]) > left:
        tail = kept[0].content.encode()[-max(left - _TURN_TOKENS, 1) * BYTES_PER_TOKEN :]
        kept = [Message(kept[0].role, tail.decode(errors="ignore"))]
    return system + kept


def _cost(message: Message) -> int:
    return estimate_tokens(message.content) + _TURN_TOKENS
