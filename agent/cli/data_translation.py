"""``dragoman data translation``: what the small translators are trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Annotated, Final

import platformdirs
import typer

from dragoman.agent.cli.output import JsonOption, emit, errors
from dragoman.agent.cli.progress import counting_bar
from dragoman.agent.cli.training import DeviceOption, ThreadsOption, prepare_training
from dragoman.asr.causal.texts import sentence
from dragoman.audio.types import DragomanError
from dragoman.translation import BergamotTranslator
from dragoman.translation.training.pairs import (
    SPLITS,
    TEXTS,
    Translate,
    drawn,
    load_pairs,
    pair_path,
    paired,
    save_pairs,
)
from dragoman.translation.training.wordnet import wordnet

_OWN: Final = 0.4
"""Share of the texts that are the user's own or WordNet's, where there are any."""


def translation(
    folder: Annotated[Path | None, typer.Option(help="Where to keep the pairs.")] = None,
    pair: Annotated[str, typer.Option(help="en-pt or pt-en.")] = "en-pt",
    shards: Annotated[int, typer.Option(help=f"Shards of {TEXTS} texts.", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="The same seed makes the same pairs.")] = 1,
    first: Annotated[int, typer.Option(help="Number of the first shard: to share the work.", min=0)] = 0,
    text: Annotated[list[Path] | None, typer.Option(help="Files of English texts, one a line.")] = None,
    words: Annotated[Path | None, typer.Option(help="Folder of WordNet's files (data.noun ...).")] = None,
    threads: ThreadsOption = 1,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Let the embedded translator translate sentences and their beginnings. What is made is not made again."""
    with errors():
        source, target = pair_of(pair)
        prepare_training(threads, device)
        from dragoman.translation.training.teacher import Teacher

        goal = folder or default_folder()
        draw = drawing(text or [], words)
        translate = Teacher(source, target, device).translate
        into: Translate | None = None if source == "en" else Teacher("en", source, device).translate
        made = 0
        with counting_bar(quiet=as_json) as bar:
            for number in bar.track(range(first, first + shards), description=f"translating ({pair})"):
                for split, english in drawn(draw, seed, number).items():
                    path = pair_path(goal, pair, split, seed, number)
                    if not path.is_file():
                        save_pairs(path, paired(english, into, translate, Random(f"{seed}/{number}/{split}")))
                    count = len(load_pairs(path))
                    made += count if split == SPLITS[0] else 0
                    if as_json:
                        emit("shard", path=str(path), pairs=count)
        if as_json:
            emit("summary", folder=str(goal), pair=pair, pairs=made)
        else:
            print(f"{goal}: {made} pairs ({pair}) to train on")


def default_folder() -> Path:
    """Where pairs lie unless a folder is given."""
    return Path(platformdirs.user_data_dir("dragoman")) / "translation"


def pair_of(pair: str) -> tuple[str, str]:
    """The two languages. Raises ``DragomanError`` for a pair that the embedded translator does not know."""
    known = {"-".join(one): one for one in sorted(BergamotTranslator.pairs)}
    if pair not in known:
        raise DragomanError(f"there is no pair {pair!r} to train: choose {' or '.join(known)}")
    return known[pair]


def drawing(files: list[Path], words: Path | None) -> Callable[[Random], str]:
    """Chat, prose and written patterns, and texts from elsewhere among them."""
    own = [line for path in files for line in _lines(path)] + (wordnet(words) if words else [])

    def draw(rng: Random) -> str:
        return rng.choice(own) if own and rng.random() < _OWN else sentence(rng, "en")

    return draw


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DragomanError(f"{path}: no text that can be read ({error})") from error
