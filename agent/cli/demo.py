"""``dragoman demo``: a conversation from a spoken file that the demo makes itself."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from dragoman.agent.cli.output import JsonOption, console, errors
from dragoman.agent.cli.talk import recorded
from dragoman.agent.config import Config
from dragoman.agent.settings import SessionSettings
from dragoman.audio.files import load, save
from dragoman.audio.types import OUTPUT_RATE, Samples
from dragoman.tts import Voice, open_voice


@dataclass(frozen=True, slots=True)
class Line:
    """What the visitor says, and how long after the last line."""

    after_s: float
    text: str


SCRIPT = (
    Line(1.0, "Hello, what is the capital of Portugal?"),
    Line(5.0, "And what should I eat when I am there?"),
    Line(9.0, "Please tell me a long story about a fox and a raven."),
    # Into the story: an interruption.
    Line(5.0, "Wait, stop. What is two plus three?"),
    Line(6.0, "Thank you, that was very helpful."),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder for the sound files.")] = Path("out/demo"),
    llm: Annotated[str, typer.Option(help="Language model, as for talk.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Hold a conversation with a spoken visitor, who also interrupts; needs no microphone."""
    with errors():
        folder.mkdir(parents=True, exist_ok=True)
        visitor, agent, both = folder / "visitor.wav", folder / "agent.wav", folder / "conversation.wav"
        speak_script(open_voice("en"), visitor)
        if not as_json:
            console.print(f"[dim]the visitor: {visitor}[/]")
        asyncio.run(recorded(Config(llm=llm), SessionSettings(), visitor, agent, as_json, "real"))
        mix(visitor, agent, both)
        if not as_json:
            console.print(f"[dim]both, the visitor left and the agent right: {both}[/]")


def speak_script(voice: Voice, path: Path, script: tuple[Line, ...] = SCRIPT) -> None:
    """Write the visitor's side, and where each line truly ends beside it."""
    parts: list[Samples] = []
    ends: list[dict[str, str | float]] = []
    length = 0
    for line in script:
        speech = voice.synthesize(line.text)
        parts += [np.zeros(round(line.after_s * OUTPUT_RATE), np.float32), speech.pcm]
        length += len(parts[-2]) + len(parts[-1])
        ends.append({"text": line.text, "end_s": round(length / OUTPUT_RATE, 3)})
    parts.append(np.zeros(OUTPUT_RATE, np.float32))
    save(path, np.concatenate(parts), OUTPUT_RATE)
    path.with_name(path.name + ".json").write_text(json.dumps(ends, indent=1), encoding="utf-8")


def mix(left: Path, right: Path, path: Path) -> None:
    """Write two mono files as the sides of one."""
    sides = [load(side, OUTPUT_RATE) for side in (left, right)]
    both = np.zeros((max(map(len, sides)), 2), np.float32)
    for channel, side in enumerate(sides):
        both[: len(side), channel] = side
    save(path, both, OUTPUT_RATE)
