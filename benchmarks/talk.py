"""``dragoman bench talk``: twenty spoken questions, what was heard and answered, and how long each answer took.

Each question is a conversation of its own with the real models, spoken by one of five voices, on the virtual clock:
it advances by the measured compute of every stage, and idle time is skipped. Onset counts from the true end of the
question to the first audible sample of the answer.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer

from dragoman.agent.cli.demo import Line, speak_script
from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.config import Config, load_parts
from dragoman.agent.record import TurnRecord, listed_ends
from dragoman.agent.recorded import converse
from dragoman.agent.settings import SessionSettings
from dragoman.audio.clock import run_virtual
from dragoman.audio.files import blocks
from dragoman.audio.types import DragomanError, Json
from dragoman.tts import open_voice

QUESTIONS: Final = (
    "What is the capital of Japan?",
    "How many days are there in a week?",
    "What color do you get when you mix blue and yellow?",
    "Can you recommend a good book about history?",
    "What should I cook for dinner tonight?",
    "Why is the sky blue?",
    "How do I fall asleep faster?",
    "What is the largest animal on earth?",
    "My dog is sick and I am very worried about him.",
    "Who wrote Romeo and Juliet?",
    "What is twelve times eight?",
    "Tell me a fun fact about octopuses.",
    "How can I learn to play the guitar?",
    "What is the weather usually like in London?",
    "I just got a new job!",
    "What is the difference between a lake and an ocean?",
    "How do airplanes stay in the air?",
    "Could you tell me a short joke?",
    "What do you call a baby cat?",
    "What should I pack for a trip to the beach?",
)
VOICES: Final = ("heart", "gongitsune", "kumo", "alpha", "nezumi")
_RESAMPLES: Final = 2000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="talk")(talk)


def talk(
    llm: Annotated[str, typer.Option(help="Language model, as for dragoman talk.")] = "auto",
    asr: Annotated[str, typer.Option(help="Recognizer, as for dragoman talk.")] = "auto",
    only: Annotated[str, typer.Option(help="Numbers of questions from 1, separated by commas.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many questions.")] = len(QUESTIONS),
    max_s: Annotated[float, typer.Option(help="Start nothing after so many seconds.")] = 1100,
    seed: Annotated[int, typer.Option(help="Of the language model.")] = 1,
    json: JsonOption = False,
) -> None:
    """Ask twenty questions aloud; print the answers and their onset latency."""
    with errors():
        numbers = _numbers(only)[:limit]
        config = Config(recognizer=asr, llm=llm, seed=seed)
        records = run_virtual(_ask(config, numbers, max_s, json), measured=True)
        onsets = [record.onset_ms for record in records if record.onset_ms is not None]
        if not onsets:
            raise DragomanError("no question was answered")
        if json:
            emit("summary", llm=llm, asr=asr, clock="virtual", questions=len(records), **_figures(onsets))
        else:
            figures = _figures(onsets)
            console.print(
                f"[bold]{len(onsets)} answers[/], onset P50 {figures['onset_p50_ms']} ms {figures['onset_p50_ci95']}, "
                f"P90 {figures['onset_p90_ms']} ms {figures['onset_p90_ci95']} [dim](virtual clock)[/]",
                soft_wrap=True,
            )


def _numbers(only: str) -> list[int]:
    try:
        numbers = [int(number) for number in only.split(",")] if only else list(range(1, len(QUESTIONS) + 1))
    except ValueError as error:
        raise DragomanError(f"--only takes numbers such as 1,5,12, not {only!r}") from error
    unknown = [number for number in numbers if not 1 <= number <= len(QUESTIONS)]
    if unknown:
        raise DragomanError(f"there is no question {unknown[0]}: they are numbered 1 to {len(QUESTIONS)}")
    return numbers


async def _ask(config: Config, numbers: list[int], max_s: float, json: bool) -> list[TurnRecord]:
    with progress_of("loading the models", json) as progress:
        parts = await load_parts(config, progress)
    begun, records = time.monotonic(), list[TurnRecord]()
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            if time.monotonic() - begun > max_s:
                break
            path = Path(folder) / f"{number}.wav"
            speak_script(open_voice("en", VOICES[number % len(VOICES)]), path, (Line(0.6, QUESTIONS[number - 1]),))
            record = await converse(parts, SessionSettings(), blocks(path), ends=listed_ends(path))
            for turn in record.turns:
                records.append(turn)
                _show(number, turn, json)
    await parts.aclose()
    return records


def _show(number: int, turn: TurnRecord, json: bool) -> None:
    if json:
        emit("answer", question=number, user=turn.user, heard=turn.heard, status=turn.status, onset_ms=turn.onset_ms)
    else:
        console.print(f"[dim]{number:2}[/] [cyan]{turn.user}[/]", soft_wrap=True)
        console.print(f"   [green]{turn.heard}[/] [dim]{turn.onset_ms} ms[/]", soft_wrap=True)


def _figures(onsets: list[float]) -> dict[str, Json]:
    """P50 and P90 in milliseconds, each with its bootstrap 95 % interval."""
    values = np.asarray(onsets)
    draws = np.random.default_rng(0).choice(values, (_RESAMPLES, len(values)))
    figures: dict[str, Json] = {}
    for percent in (50, 90):
        low, high = np.percentile(np.percentile(draws, percent, axis=1), (2.5, 97.5))
        figures[f"onset_p{percent}_ms"] = round(float(np.percentile(values, percent)))
        figures[f"onset_p{percent}_ci95"] = [round(float(low)), round(float(high))]
    return figures
