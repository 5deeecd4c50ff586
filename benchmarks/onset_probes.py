"""Probes: questions whose answers can be checked. First words that are said too soon would show in them.

A third asks for a name, a third for a number, a third for yes or no; half of each for what was said before, half for
what everybody knows. They are spoken to whole sessions, as all turns are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeAlias

import numpy as np

from dragoman.agent.ports import Role, Synthesizer
from dragoman.audio.levels import trim_silence
from dragoman.audio.resample import resample
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, Json
from dragoman.benchmarks.onset_figures import Run, draws_of, with_interval
from dragoman.benchmarks.onset_modes import Mode
from dragoman.benchmarks.onset_turns import BEFORE_S, HeldOut
from dragoman.benchmarks.turn_taking import Numbers, Rows

About: TypeAlias = Literal["name", "number", "yes-no"]

ASKED: Final[tuple[Mode, ...]] = ("cascade-same", "relay")
"""Who is asked."""

_AFTER_S: Final = 0.6
_QUIET: Final = 3e-4
"""Amplitude of the background: a room in which nobody speaks."""

_YES: Final = r"\b(?:yes|yeah|yep|sure|of course|absolutely|definitely|certainly|indeed|correct|exactly|that's right)\b"
_NO: Final = r"\b(?:no|nope|not|never|\w+n't)\b"


@dataclass(frozen=True, slots=True)
class Probe:
    """A question, and how its answer is checked: by what it must hold and what it must not (regular expressions)."""

    about: About
    dialogue: tuple[str, ...]
    """What was said before: the user's and the agent's turns, one after the other."""
    question: str
    right: str
    wrong: str | None = None

    def answered(self, reply: str) -> bool:
        """Whether a reply tells it."""
        found = re.search(self.right, reply, re.IGNORECASE)
        return found is not None and (self.wrong is None or re.search(self.wrong, reply, re.IGNORECASE) is None)


def _whether(right: str, wrong: str, question: str, *dialogue: str, or_says: str = "(?!)") -> Probe:
    return Probe("yes-no", dialogue, question, rf"{right}|\b(?:{or_says})\b", wrong)


def _what(about: About, question: str, right: str, *dialogue: str) -> Probe:
    return Probe(about, dialogue, question, rf"\b(?:{right})\b")


_yes, _no = partial(_whether, _YES, _NO), partial(_whether, _NO, _YES)
_name, _number = partial(_what, "name"), partial(_what, "number")


PROBES: Final = (
    _name("Do you remember what my name is?", "robert", "Hi, my name is Robert.", "Nice to meet you, Robert."),
    _name("What did I say my dog is called?", "max", "I have a dog. He is called Max.", "That's a lovely name."),
    _name(
        "Which city did my sister move to?", "boston", "My sister has just moved to Boston.", "How exciting for her."
    ),
    _name("Who did I say is visiting me?", "emma", "My friend Emma is visiting me this week.", "I hope you have fun."),
    _name("What is my favorite food?", "pizza", "My favorite food is pizza.", "That is a good choice."),
    _name("Which day is my exam on?", "friday", "I have an exam on Friday.", "Good luck with it."),
    _name("What color is my new car?", "green", "I bought a car yesterday. It is green.", "Congratulations."),
    _name("Which instrument do I play?", "violin", "I have played the violin for years.", "That takes patience."),
    _name("Where do I work?", "bank", "I work at a bank.", "I see. Do you enjoy it?"),
    _name("What is my brother's name?", "daniel", "My brother Daniel got married.", "Congratulations to him."),
    _name("What is the capital of France?", "paris"),
    _name("Who wrote Romeo and Juliet?", "shakespeare"),
    _name("What is the largest ocean?", "pacific"),
    _name("Which planet do we live on?", "earth"),
    _name("What is the color of snow?", "white"),
    _name("Which animal says meow?", "cats?|kitten"),
    _name("What do bees make?", "honey"),
    _name("Which language do people speak in Mexico?", "spanish"),
    _name("What is frozen water called?", "ice"),
    _name("Which season comes after winter?", "spring"),
    _number("How many cats do I have?", "three|3", "I have three cats.", "They must keep you busy."),
    _number("How old did I say I am?", "thirty|30", "I turned thirty last week.", "Happy birthday."),
    _number("What time does my flight leave?", "seven|7", "My flight leaves at seven tomorrow.", "Have a good trip."),
    _number("How many children do I have?", "two|2", "I have two children.", "How nice."),
    _number(
        "Which floor do I live on?", "five|fifth|5|5th", "I live on the fifth floor.", "You must have a nice view."
    ),
    _number("How many miles did I run?", "six|6", "I ran six miles today.", "That is impressive."),
    _number("How many books did I buy?", "four|4", "I bought four books today.", "Enjoy reading them."),
    _number(
        "How many people are coming to my party?", "twelve|12", "Twelve people come to my party.", "That sounds fun."
    ),
    _number("How many hours did I sleep?", "nine|9", "I slept for nine hours.", "You must be well rested."),
    _number("How long have I lived here?", "ten|10", "I have lived here for ten years.", "That is a long time."),
    _number("How many days are there in a week?", "seven|7"),
    _number("How many legs does a spider have?", "eight|8"),
    _number("What is two plus three?", "five|5"),
    _number("How many months does a year have?", "twelve|12"),
    _number("How many minutes are there in an hour?", "sixty|60"),
    _number("What is ten minus four?", "six|6"),
    _number("How many wheels does a bicycle have?", "two|2"),
    _number("How many letters are there in the alphabet?", "twenty[- ]six|26"),
    _number("How many sides does a triangle have?", "three|3"),
    _number("What is five times two?", "ten|10"),
    _yes("Do I have a dog?", "I have a dog and a cat.", "They must be fun."),
    _yes("Did I say that I like tea?", "I like tea very much.", "I see. Tea is lovely."),
    _yes("Am I from Canada?", "I come from Canada.", "Canada is beautiful."),
    _yes("Did I tell you that I am tired?", "I am tired today.", "I hope that you can rest."),
    _yes("Is my birthday in May?", "My birthday is in May.", "That is a nice month."),
    _no("Do I eat meat?", "I don't eat any meat.", "That is good to know."),
    _no("Do I have a car?", "I don't have a car.", "Then you must walk a lot."),
    _no("Was I at work today?", "I stayed at home all day, I didn't go to work.", "I hope you had a good rest."),
    _no("Do I like coffee?", "I hate coffee.", "Many people do not like the taste."),
    _no("Did I pass the test?", "I failed my test.", "I am sorry to hear that."),
    _yes("Is the sun hotter than the moon?", or_says="hotter"),
    _yes("Can birds fly?"),
    _yes("Is Rome in Italy?"),
    _yes("Do fish live in water?"),
    _yes("Is an elephant bigger than a mouse?", or_says="bigger|larger"),
    _no("Is ice hotter than fire?", or_says="colder|cooler"),
    _no("Do cars have wings?"),
    _no("Is London the capital of Spain?"),
    _no("Can people breathe under water?"),
    _no("Is a week longer than a month?", or_says="shorter"),
)


def spoken(voice: Synthesizer, count: int = len(PROBES)) -> list[tuple[Probe, HeldOut]]:
    """The first probes of each kind, ``count`` in all, as turns that ``voice`` says in a quiet room."""
    kinds: dict[About, list[Probe]] = {}
    for probe in PROBES:
        kinds.setdefault(probe.about, []).append(probe)
    in_turn = [probe for some in zip(*kinds.values(), strict=True) for probe in some][:count]
    return [(probe, _turn(number, probe, voice)) for number, probe in enumerate(in_turn)]


def _turn(number: int, probe: Probe, voice: Synthesizer) -> HeldOut:
    pcm = resample(voice.synthesize(probe.question).pcm, OUTPUT_RATE, INPUT_RATE)
    start, end = trim_silence(pcm, INPUT_RATE)
    said = pcm[start:end]
    rng = np.random.default_rng(number)
    before, after = round(BEFORE_S * INPUT_RATE), round(_AFTER_S * INPUT_RATE)
    room = _QUIET * rng.standard_normal(before + len(said) + after).astype(np.float32)
    room[before : before + len(said)] += said
    roles: tuple[Role, Role] = ("user", "assistant")
    dialogue = tuple((roles[place % 2], text) for place, text in enumerate(probe.dialogue))
    name = f"probe-{number}"
    return HeldOut(name, name, room, room[-after:].copy(), (before + len(said)) / INPUT_RATE, dialogue, probe.question)


def answers(asked: Sequence[tuple[Probe, HeldOut]], runs: Sequence[Run]) -> dict[str, Json]:
    """How many of the probes each system answered rightly, by what they are about; those that any broke into are left
    out. ``gain``: relay's share less the cascade's, with its 95 % interval.
    """
    texts = {(run.system.mode, run.turn.name): run.take.text for run in runs}
    taken, cut = {run.turn.name for run in runs}, {run.turn.name for run in runs if run.take.cut}
    clear = [(probe, turn) for probe, turn in asked if turn.name in taken - cut]
    if not clear:
        return {}
    modes = [mode for mode in ASKED if (mode, clear[0][1].name) in texts]
    right = {
        mode: np.array([probe.answered(texts[mode, turn.name]) for probe, turn in clear], np.float64) for mode in modes
    }
    kinds = np.array([probe.about for probe, _ in clear])
    draws = draws_of([turn for _, turn in clear])
    made: dict[str, Json] = {"asked": len(clear), "left_out": len(taken & cut)}
    for mode, hits in right.items():
        by_kind = {kind: float(hits[kinds == kind].mean()) for kind in sorted({*kinds.tolist()})}
        made[mode] = with_interval("right", draws, partial(_mean, hits)) | by_kind
    if len(modes) == len(ASKED):
        gains = right["relay"] - right["cascade-same"]
        made |= with_interval("gain", draws, partial(_mean, gains))
    return made


def _mean(values: Numbers, rows: Rows) -> float:
    return float(values[rows].mean())
