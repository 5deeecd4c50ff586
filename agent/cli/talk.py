"""``dragoman talk``: a spoken conversation, with a microphone or with a recording."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Annotated

import psutil
import typer

from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.cli.sources import echo_canceller, opened
from dragoman.agent.cli.views import JsonView, LinesView, LiveView, View, summary
from dragoman.agent.config import Config, load_parts
from dragoman.agent.live import converse_aloud
from dragoman.agent.llm.servers import discover
from dragoman.agent.parts import Parts
from dragoman.agent.record import ConversationRecord, listed_ends
from dragoman.agent.recorded import converse
from dragoman.agent.settings import SessionSettings
from dragoman.audio.clock import run_virtual
from dragoman.audio.devices import check_devices
from dragoman.audio.files import FORMATS, WavWriter
from dragoman.audio.text import language_of
from dragoman.audio.types import OUTPUT_RATE, DragomanError
from dragoman.audio.writing import writable


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(talk)


def talk(
    input_: Annotated[Path | None, typer.Option("--input", "-i", help="A recording instead of the microphone.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the agent's track: a .wav or .flac file.")
    ] = None,
    lang: Annotated[str, typer.Option(help="What you speak: en, pt, ... or auto.")] = "en",
    asr: Annotated[str, typer.Option(help="Recognizer: auto, tiny.en, base, or a path.")] = "auto",
    llm: Annotated[
        str, typer.Option(help="Language model: auto, a catalog name, a .gguf file, or http://host:port\\[#model].")
    ] = "auto",
    voice: Annotated[str, typer.Option(help="Voice: auto, a name, or a Piper voice's .onnx.")] = "auto",
    attentive: Annotated[
        bool, typer.Option(help="The agent says mm-hm while you speak for long (with --headphones).")
    ] = False,
    turns: Annotated[
        str, typer.Option(help="Who takes turns: model (by ear), words (silence), smart-turn, auto.")
    ] = "auto",
    instructions: Annotated[str | None, typer.Option(help="The agent's system prompt.")] = None,
    headphones: Annotated[
        bool,
        typer.Option(help="You wear headphones: the agent listens from the first moment, and no echo is taken out."),
    ] = False,
    deaf: Annotated[
        bool, typer.Option(help="The agent is deaf while it speaks: where it hears itself through loud speakers.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="Sound device: a number or a part of its name.")] = None,
    pace: Annotated[bool, typer.Option(help="Play a recording in real time, or as fast as the models can.")] = True,
    seed: Annotated[int | None, typer.Option(help="Make the language model's replies repeatable.")] = None,
    json: JsonOption = False,
) -> None:
    """Talk with the agent: aloud, or as a recording (--input) that may also interrupt it."""
    with errors():
        if attentive and input_ is None and not headphones:
            raise DragomanError("--attentive needs --headphones: the agent is deaf to you while it says mm-hm aloud")
        if deaf and (headphones or input_ is not None):
            raise DragomanError("--deaf is for a microphone beside open speakers: leave out --headphones and --input")
        if input_ is None and not pace:
            raise DragomanError("--no-pace needs --input FILE: a microphone gives its sound as it comes")
        if input_ is not None and device is not None:
            raise DragomanError("--device is the microphone's and speaker's: leave it out with --input")
        language = language_of(lang)
        if turns == "model" and language is None:
            raise DragomanError("--turns model needs --lang en: it understands English alone")
        config = Config(language=language, recognizer=asr, llm=llm, voice=voice, turns=turns, seed=seed)
        settings = SessionSettings(
            instructions=instructions,
            language=language,
            half_duplex=input_ is None and not headphones,
            attentive=attentive,
        )
        if output is not None:
            writable(output, FORMATS, input_)
        if input_ is None:
            sound_device = int(device) if device and device.isdecimal() else device
            check_devices("input", "output", device=sound_device)
            asyncio.run(_aloud(config, settings, output, json, sound_device, echoes=not (headphones or deaf)))
        elif pace:
            asyncio.run(recorded(config, settings, input_, output, json, "real"))
        else:
            run_virtual(recorded(config, settings, input_, output, json, "virtual"), measured=True)


async def _load(config: Config, json: bool) -> Parts:
    """Load the models, showing how far it is; say if a language model server already runs here."""
    with progress_of("loading the models", json) as progress:
        parts = await load_parts(config, progress)
    if config.llm == "auto" and not json:
        for server in await discover():
            console.print(f"[dim]{server.kind.name} is running here: --llm {server.url} talks with its model[/]")
    return parts


async def recorded(
    config: Config, settings: SessionSettings, source: Path, output: Path | None, json: bool, clock: str
) -> None:
    """Talk with a recording and print what happens; ``clock`` names the running loop's for the summary.

    Raises ``DragomanError`` at the end where every reply failed.
    """
    sound = opened(source)
    ends = listed_ends(source)
    parts = await _load(config, json)
    before = _rss_mb()
    view: View = JsonView() if json else LinesView(console)
    with ExitStack() as stack:
        writer = stack.enter_context(WavWriter(output, OUTPUT_RATE)) if output else None
        stack.enter_context(view)
        record = await converse(parts, settings, sound, writer=writer, ends=ends, told=view.show)
    await parts.aclose()
    if json:
        memory = {"rss_first_mb": before, "rss_last_mb": _rss_mb()}
        emit(
            "summary",
            input=str(source),
            output=str(output) if output else None,
            clock=clock,
            **memory,
            **summary(record),
        )
    else:
        _print_latencies(record, clock)
        if output:
            console.print(f"[dim]the agent's track: {output}[/]")
    if record.turns and all(turn.status == "failed" for turn in record.turns):
        raise DragomanError(f"no reply came: {record.problems[-1]}")


async def _aloud(
    config: Config,
    settings: SessionSettings,
    output: Path | None,
    json: bool,
    device: int | str | None,
    *,
    echoes: bool,
) -> None:
    parts = await _load(config, json)
    echo = await asyncio.to_thread(echo_canceller) if echoes else None
    view: View = JsonView() if json else LiveView(console) if console.is_terminal else LinesView(console)

    def ready() -> None:
        if json:
            emit("ready")
        else:
            console.print("[bold]Talk.[/] [dim]Ctrl-C ends the conversation.[/]")
            if echo is not None:
                console.print("[dim]You can interrupt the agent once it has spoken for a few seconds.[/]")

    with WavWriter(output, OUTPUT_RATE) if output else nullcontext() as writer, view:
        record = await converse_aloud(
            parts, settings, device=device, writer=writer, echo=echo, told=view.show, ready=ready
        )
    await parts.aclose()
    if json:
        emit("summary", input=None, output=str(output) if output else None, clock="real", **summary(record))
    else:
        _print_latencies(record, "real")


def _print_latencies(record: ConversationRecord, clock: str) -> None:
    median, slow = record.onset_percentile(50), record.onset_percentile(90)
    if median is None:
        console.print("[yellow]nothing was said, or nothing was answered[/]")
        return
    count = sum(turn.onset_ms is not None for turn in record.turns)
    console.print(
        f"[bold]{count} answers[/], onset P50 {median:.0f} ms, P90 {slow:.0f} ms "
        f"[dim](true end of speech to first audible sample, {clock} clock)[/]",
        soft_wrap=True,
    )


def _rss_mb() -> float:
    return round(psutil.Process().memory_info().rss / 2**20, 1)
