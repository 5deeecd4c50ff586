"""What is said in a conversation, before anybody says it: the user's turns, and what shall happen around them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import zip_longest
from random import Random
from typing import Final

from dragoman.agent.duplex.chat import Chat
from dragoman.agent.duplex.conversation import Situation
from dragoman.agent.engine.backchannel import is_backchannel
from dragoman.tts.speakable import speakable

SPOT: Final = "|"
"""Stands between two words of ``Exchange.said`` where the speaker is likely to pause."""

BACKCHANNELS: Final = (
    "Mm-hm.", "Uh-huh.", "Yeah.", "Right.", "Okay.", "I see.", "Oh, wow.", "Sure.", "Got it.", "Yep.", "Yes.", "True.",
    "Oh, okay.", "Yeah, yeah.", "Wow.", "Nice.", "Great.", "Oh.", "Ah, okay.", "Yeah, sure.", "Exactly.", "Go on.",
)  # fmt: skip
"""Signs of attention: nobody stops speaking for them."""

_BREAKING_IN: Final = (
    "Wait,", "Sorry,", "Hold on,", "No,", "Actually,", "Stop,", "But", "Excuse me,", "Hang on,", "No wait,",
    "Let me stop you there.", "Well,", "Hey,", "And", "So",
)  # fmt: skip

DIGITS: Final = "zero one two three four five six seven eight nine".split()
_NUMBERS: Final = (
    ("What is your phone number?", "It's {n}.", (3, 3, 4)),
    ("Could you give me a number where I can reach you?", "Yes, you can call me at {n}.", (3, 3, 4)),
    ("Can you read me the order number?", "Sure, it is {n}.", (3, 3)),
    ("What are the digits on your card?", "They are {n}.", (4, 4, 4, 4)),
    ("What is your zip code?", "My zip code is {n}.", (2, 3)),
    ("Which account is it about?", "The account number is {n}.", (2, 2, 4)),
    ("What is the serial number?", "Let me read it to you. {n}.", (3, 2, 3)),
    ("And the code that you received?", "The code is {n}, I think.", (3, 3)),
)
_LISTS: Final = (
    ("What do you need from the store?", "I need {n}.", "eggs|milk|bread|butter|some rice|two onions|a bag of flour"
     "|orange juice|coffee|paper towels|tomatoes|a little cheese|black pepper|olive oil"),
    ("Who is coming to the party?", "There will be {n}.", "my brother|Anna and her husband|the neighbors|Tom|my boss"
     "|Sarah from work|my cousins|Doctor Brown|a friend from school|Peter|my aunt"),
    ("Which places would you like to see?", "I would love to see {n}.", "Rome|the mountains|Tokyo|an old castle"
     "|the Grand Canyon|Iceland|a few museums|the west coast|Lisbon|New York|the northern lights"),
    ("What did you do today?", "Well, today I {n}.", "went for a run|cleaned the kitchen|called my mother|fixed my bike"
     "|answered some emails|cooked a huge lunch|watched a movie|bought new shoes|read a little|took a nap"),
    ("What are you good at?", "I think I am good at {n}.", "cooking|chess|listening|fixing things|languages|math"
     "|gardening|drawing|telling stories|long walks|playing the guitar"),
    ("What shall I put on your calendar?", "Please put {n} on it.", "the dentist on Monday|a meeting at noon"
     "|dinner with Paul|the school play|my flight on Friday|a call with the bank|swimming on Sunday"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exchange:
    """A turn of the user's, and what happens around it. The agent's reply to it is not known yet.

    ``text`` is the turn as it would be written down. ``said`` is the same as it is read aloud, with ``SPOT`` where a
    list or a number invites to pause. ``breaks_in``: the share of the reply before that is heard when this turn
    interrupts it; None when it waits for its end. ``backchannel``: what the user says over the reply that follows.
    ``reply``: what a person answered to it; empty when nobody did.
    """

    text: str
    said: str
    situation: Situation = "chat"
    breaks_in: float | None = None
    backchannel: str | None = None
    false_start: bool = False
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """``context``: turns (role, text) before the sound begins; then the exchanges."""

    id: str
    context: tuple[tuple[str, str], ...]
    exchanges: tuple[Exchange, ...]


def draw_script(rng: Random, chat: Chat, name: str) -> Script:
    """A script whose turns come from one talk of ``chat``, some of them replaced by lists and numbers."""
    before = rng.choice((0, 0, 1, 2, 3, 4))
    turns = chat.draw(rng, before + 2 * rng.randint(4, 7))
    before = min(before, len(turns) - 2)
    roles = ("assistant", "user")
    context = [(roles[(before - i - 1) % 2], text) for i, text in enumerate(turns[:before])]
    exchanges = []
    for i, (text, reply) in enumerate(zip_longest(turns[before::2], turns[before + 1 :: 2], fillvalue="")):
        kind = rng.random()
        if kind < 0.14:
            question, exchange = _number(rng) if kind < 0.07 else _list(rng)
            if i == 0:
                context = [*context[:-1], ("assistant", question)]
        else:
            exchange = Exchange(text, speakable(text))
        exchanges.append(replace(_eventful(rng, exchange, first=i == 0), reply=reply))
    return Script(name, tuple(context), tuple(exchanges))


def _eventful(rng: Random, exchange: Exchange, *, first: bool) -> Exchange:
    text, said, breaks_in = exchange.text, exchange.said, None
    if not first and rng.random() < 0.28:
        breaks_in = rng.uniform(0.2, 0.75)
        # Who begins like a listener can't be told from one.
        if exchange.situation == "chat" and (rng.random() < 0.5 or _begins_as_backchannel(said)):
            opening = rng.choice(_BREAKING_IN)
            rest = text if opening[-1] == "." or re.match(r"I\b", text) else text[0].lower() + text[1:]
            text = f"{opening} {rest}"
            said = speakable(text)
        elif _begins_as_backchannel(said):
            breaks_in = None
    backchannel = rng.choice(BACKCHANNELS) if rng.random() < 0.35 else None
    false_start = breaks_in is None and len(said.split()) > 3 and rng.random() < 0.12
    return Exchange(text, said, exchange.situation, breaks_in, backchannel, false_start)


def _begins_as_backchannel(said: str) -> bool:
    words = [word.strip(",.!?") for word in said.split() if word != SPOT]
    return any(is_backchannel(" ".join(words[:count])) for count in (1, 2))


def _number(rng: Random) -> tuple[str, Exchange]:
    question, pattern, sizes = rng.choice(_NUMBERS)
    groups = [[rng.randrange(10) for _ in range(size)] for size in sizes]
    aloud = f" {SPOT} ".join(" ".join(DIGITS[digit] for digit in group) for group in groups)
    written = " ".join("".join(map(str, group)) for group in groups)
    return question, Exchange(pattern.format(n=written), pattern.format(n=f"{SPOT} {aloud}"), "number")


def _list(rng: Random) -> tuple[str, Exchange]:
    question, pattern, things = rng.choice(_LISTS)
    chosen = rng.sample(things.split("|"), rng.randint(3, 5))
    *most, last = chosen
    aloud = ""
    for thing in most:
        # "eggs, | milk" or "eggs and | milk": a pause after the comma, or after the word that promises more.
        aloud += f"{thing} and {SPOT} " if rng.random() < 0.35 else f"{thing}, {SPOT} "
    aloud = aloud.removesuffix(f", {SPOT} ") + f" and {SPOT} {last}" if aloud.endswith(f", {SPOT} ") else aloud + last
    written = f"{', '.join(most)} and {last}"
    return question, Exchange(pattern.format(n=written), pattern.format(n=aloud), "list")
