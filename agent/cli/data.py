"""``dragoman data``: make the data that training needs."""

from __future__ import annotations

from functools import cache
from math import inf
from pathlib import Path
from random import Random
from typing import Annotated, Final

import numpy as np
import platformdirs
import typer

from dragoman.agent import recordings as human
from dragoman.agent.cli.data_dialogues import dialogues
from dragoman.agent.cli.data_drafts import drafts
from dragoman.agent.cli.data_duplex import duplex
from dragoman.agent.cli.data_gold import gold
from dragoman.agent.cli.data_pauses import pauses
from dragoman.agent.cli.data_translation import translation
from dragoman.agent.cli.data_turns import turns
from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.agent.cli.progress import counting_bar
from dragoman.agent.duplex.personas import OWN_PACKS, packs_in
from dragoman.asr import open_recognizer
from dragoman.asr.causal.corpus import (
    CLIPS_PER_SHARD,
    Cast,
    Script,
    Speaker,
    load_clips,
    make_shard,
    save_clips,
)
from dragoman.asr.causal.texts import LANGUAGES, sentence
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import resolve
from dragoman.translation import open_translator
from dragoman.tts import Voice, open_voice
from dragoman.tts.kokoro import KokoroEngine, KokoroModel

HUMAN: Final = 0
"""The seed that stands in the names of shards of recordings."""

_FAST: Final = ("heart", "joe")
"""English voices that take a tenth of the time they speak, or less."""

app = typer.Typer(help="Make the data that training needs.", no_args_is_help=True)
app.command()(duplex)
app.command()(dialogues)
app.command()(drafts)
app.command()(gold)
app.command()(pauses)
app.command()(translation)
app.command()(turns)


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="data")


def default_folder() -> Path:
    """Where training data lies unless a folder is given."""
    return Path(platformdirs.user_data_dir("dragoman")) / "speech"


@app.command()
def speech(
    folder: Annotated[Path | None, typer.Option(help="Where to keep the clips.")] = None,
    lang: Annotated[str, typer.Option(help="Language to speak: en or pt.")] = "en",
    hours: Annotated[float, typer.Option(help="About so many hours (a clip lasts 10 s in the mean).")] = 2.0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same clips.")] = 1,
    first: Annotated[int, typer.Option(help="Number of the first shard: to share the work.", min=0)] = 0,
    packs: Annotated[Path | None, typer.Option(help="Folder of more Kokoro voices (*.bin).")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Only the fast English voices, pitched.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let many synthetic voices speak sentences, and keep the clips with the time of each word."""
    with errors():
        if lang not in LANGUAGES:
            raise DragomanError(f"no training texts in {lang!r}: there are {', '.join(LANGUAGES)}")
        if not 0 <= hours < inf:
            raise DragomanError(f"{hours:g} hours can't be made: give a number of 0 or more")
        target = folder or default_folder()
        count = max(1, round(hours * 360 / CLIPS_PER_SHARD))
        cast, script = _english_alone if quick else casting(packs), scripting(lang)
        seconds, clips, speakers = 0.0, 0, set[str]()
        with counting_bar(quiet=as_json) as bar:
            for number in bar.track(range(first, first + count), description="shards"):
                path = make_shard(target, lang, seed, number, cast, script)
                made = list(load_clips(path))
                seconds += sum(clip.seconds for clip in made)
                clips += len(made)
                speakers |= {clip.speaker for clip in made}
                if as_json:
                    emit("shard", path=str(path), clips=len(made))
        if as_json:
            emit("summary", folder=str(target), clips=clips, hours=seconds / 3600, speakers=len(speakers))
        else:
            print(f"{target}: {clips} clips, {seconds / 3600:.2f} hours, {len(speakers)} speakers")


@app.command()
def recordings(
    source: Annotated[Path, typer.Argument(help="Folder of human speech; FILE.txt beside a file is its text.")],
    folder: Annotated[Path | None, typer.Option(help="Where to keep the clips.")] = None,
    lang: Annotated[str, typer.Option(help="Language of the speech.")] = "en",
    model: Annotated[str, typer.Option(help="The offline recognizer that gives words and their times.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Make training clips of your own recordings. What is done is kept, and not done again."""
    with errors():
        files = human.recordings(source)
        target = folder or default_folder()
        recognizer = open_recognizer(model, lang)
        count, seconds = 0, 0.0
        with counting_bar(quiet=as_json) as bar:
            for path in bar.track(files, description="recordings"):
                # By what is in it: files come and go, and several folders may be read into one.
                name = f"{lang}-{HUMAN}-{human.digest(path)}"
                known, text = sorted(target.glob(f"{name}*.npz")), path.with_suffix(".txt")
                named = target / (f"{name}-{human.digest(text)}.npz" if text.is_file() else f"{name}.npz")
                shard = known[0] if known and not text.is_file() else named
                if not shard.is_file():
                    save_clips(shard, list(human.recorded_clips(path, recognizer, lang)))
                    for old in known:  # its text was put beside it since, or put right
                        old.unlink()
                clips = list(load_clips(shard))
                count, seconds = count + len(clips), seconds + sum(clip.seconds for clip in clips)
                if as_json:
                    emit("shard", path=str(shard), source=str(path), clips=len(clips))
        if as_json:
            emit("summary", folder=str(target), clips=count, hours=seconds / 3600)
        else:
            print(f"{target}: {count} clips, {seconds / 3600:.2f} hours from {len(files)} files")


def scripting(language: str) -> Script:
    """What there is to say: with a translator at hand, English texts are carried over into another language."""
    if language == "en":
        return sentence
    try:
        translator = open_translator("en", language)
    except DragomanError as error:
        console.print(f"only written patterns will be spoken: {error}", markup=False, soft_wrap=True)
        return sentence
    return lambda rng, lang: sentence(rng, lang, lambda text: translator.translate(text, "en", lang))


def _english_alone(rng: Random, language: str) -> tuple[str, Speaker]:
    name = rng.choice(_FAST)
    return name, open_voice(language, name)


def casting(packs: Path | None) -> Cast:
    """A cast of every voice there is: the English ones, and Kokoro's packs alone or two of them mixed."""
    every = packs_in(packs) if packs is not None else []
    english = [(name, open_voice("en", name)) for name in _FAST]
    model = KokoroModel(resolve("kokoro"))

    @cache
    def style(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return model.styles(name, packs)

    def cast(rng: Random, language: str) -> tuple[str, Speaker]:
        if language == "en" and rng.random() < 0.4:
            return rng.choice(english)
        native = [name for name in every if name[0] in ("ab" if language == "en" else language[0])]
        pool = native if native and rng.random() < 0.75 else every or OWN_PACKS
        first, second = rng.choice(pool), rng.choice(every or OWN_PACKS)
        share = rng.choice((0.0, rng.uniform(0.1, 0.6)))
        mixed = ((1 - share) * style(first) + share * style(second)).astype(np.float32)
        name = f"{first}+{second}@{share:.2f}" if share else first
        return name, Voice(KokoroEngine(model, language, mixed), language, name)

    return cast
