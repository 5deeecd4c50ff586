"""The translators alone, on text: quality, and compute by length.

``dragoman bench translators [--data DIR] [--pairs FOLDER]``. Quality: chrF and BLEU against the reference translations
of ``DIR/index.json`` (else of a few sentences of our own), whose transcripts are translated sentence by sentence; and,
with a folder of ``dragoman data translation``, chrF against what the embedded translator, their teacher, says of texts
that nobody was trained on, whole ones and beginnings. Compute: processor time, on one thread, of one translation from
nothing, of the first so many words of long sentences: the update of a caption, where nothing of the last is used again.
``rooms_ms``: the same at 20 words when so many rooms ask at once, a room. Needs sacrebleu.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Final

import typer

from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.audio.types import DragomanError, Json
from dragoman.benchmarks.before import measured, require
from dragoman.benchmarks.translation_clips import PAIRS, BilingualClip, listed, spoken
from dragoman.benchmarks.translation_scores import quality
from dragoman.translation import BergamotTranslator, LearnedTranslator
from dragoman.translation.learned import KINDS, find
from dragoman.translation.sentences import sentences
from dragoman.translation.steering import Steerable, Steering
from dragoman.translation.training.pairs import Pair, load_pairs, pair_shards

LENGTHS: Final = (5, 10, 20, 40)
"""Source words."""
ROOMS: Final = 8
_REPEATS: Final = 5
_WHOLE: Final = Steering()

LONG: Final = {
    "en": (
        "when we arrived at the small hotel near the harbour the owner told us that the ferry to the island had been "
        "cancelled because of the storm and that we would have to wait until the next morning or take the old road "
        "around the bay by car",
        "the teacher who had worked in our village for more than thirty years explained to the parents that the new "
        "school would not be ready before the winter since the company that was building it had run out of money and "
        "nobody knew who would pay for it",
        "my brother and his wife wanted to buy a house with a large garden outside the city but after they had looked "
        "at about twenty of them they decided to stay in their apartment and to save the money for a long journey "
        "through South America with their children",
    ),
    "pt": (
        "quando chegamos ao pequeno hotel perto do porto o dono nos disse que a balsa para a ilha tinha sido cancelada "
        "por causa da tempestade e que teríamos de esperar até a manhã seguinte ou pegar a estrada antiga ao redor da "
        "baía de carro com as crianças",
        "a professora que trabalhava na nossa aldeia havia mais de trinta anos explicou aos pais que a nova escola não "
        "ficaria pronta antes do inverno porque a empresa que a construía estava sem dinheiro e ninguém sabia quem "
        "pagaria por ela",
        "meu irmão e sua esposa queriam comprar uma casa com um grande jardim fora da cidade mas depois de visitarem "
        "umas vinte casas decidiram ficar no apartamento e guardar o dinheiro para uma longa viagem pela América do "
        "Sul com os filhos",
    ),
}


def register(parent: typer.Typer) -> None:
    """Add the command to the group of benchmarks."""
    parent.command("translators")(measure)


def measure(
    data: Annotated[Path | None, typer.Option(help="Folder with index.json: transcripts and translations.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="Folder of `dragoman data translation`: its test pairs.")] = None,
    engine: Annotated[str, typer.Option(help="Translators, separated by commas; none: all there are.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many test pairs of each kind.")] = 400,
    max_s: Annotated[float, typer.Option(help="Start nothing after so many seconds.")] = 1100,
    json: JsonOption = False,
) -> None:
    """Compare the embedded translator with those that were trained on what it says."""
    with errors():
        require("sacrebleu")
        known = ("bergamot", *KINDS)
        wanted = tuple(name for name in engine.split(",") if name) or known
        if unknown := set(wanted) - set(known):
            raise DragomanError(f"no translator is called {sorted(unknown)[0]!r}: there are {', '.join(known)}")
        clips = listed(data)[0] if data else spoken()
        taught = {(source, target): _pairs(pairs, source, target) for source, target in PAIRS}
        if pairs and not any(taught.values()):
            raise DragomanError(f"{pairs} holds no test pairs: run `dragoman data translation`")
        todo = [(name, *pair) for pair in PAIRS for name in wanted if name == "bergamot" or find(name, *pair)]
        results, deadline = list[dict[str, Json]](), time.monotonic() + max_s
        with progress_of("translating", json) as progress:
            for number, (name, source, target) in enumerate(todo):
                if time.monotonic() > deadline:
                    break
                progress("translators", number, len(todo))
                translator = BergamotTranslator() if name == "bergamot" else LearnedTranslator(name)
                mine = [clip for clip in clips if (clip.source, clip.target) == (source, target) and clip.text]
                result: dict[str, Json] = {"engine": name, "pair": f"{source}-{target}"}
                result |= _references(translator, mine) if mine else {}
                result |= _teacher(translator, source, target, taught[source, target], limit)
                result |= _compute(translator, source, target)
                results.append(result)
                console.print(_line(result), soft_wrap=True)
                if json:
                    emit("result", **result)
            progress("translators", len(todo), len(todo))
        measured(results, deadline)
        if json:
            emit("summary", results=list[Json](results))
        else:
            for result in results:
                print(_line(result))


def _line(result: Mapping[str, Json]) -> str:
    return "  ".join(
        f"{name} {value:.1f}" if isinstance(value, float) else f"{name} {value}" for name, value in result.items()
    )


def _pairs(folder: Path | None, source: str, target: str) -> list[Pair]:
    """What the teacher said of texts that nobody was trained on."""
    paths = pair_shards(folder, f"{source}-{target}", "test") if folder else []
    return [pair for path in paths for pair in load_pairs(path)]


def _references(translator: BergamotTranslator | LearnedTranslator, clips: list[BilingualClip]) -> dict[str, Json]:
    """Quality against people's translations."""
    said = [translator.translate(clip.text, clip.source, clip.target) for clip in clips]
    chrf, bleu = quality(said, [clip.reference for clip in clips])
    return {"texts": len(clips), "chrf": chrf, "bleu": bleu}


def _teacher(
    translator: BergamotTranslator | LearnedTranslator, source: str, target: str, every: list[Pair], limit: int
) -> dict[str, Json]:
    """chrF against the teacher's translations, of whole texts and of beginnings; nothing where there are none."""
    figures: dict[str, Json] = {}
    if not every:
        return figures
    for name, cut in (("whole", False), ("cut", True)):
        chosen = [pair for pair in every if pair.cut is cut and len(sentences(pair.source)) == 1][:limit]
        said = [translator.steered(pair.source, source, target, _WHOLE).text for pair in chosen]
        figures[f"{name}_pairs"] = len(chosen)
        figures[f"{name}_chrf"] = quality(said, [pair.target for pair in chosen])[0]
    return figures


def _compute(translator: Steerable, source: str, target: str) -> dict[str, Json]:
    """Processor time of a translation by length, and of many rooms at once."""
    figures: dict[str, Json] = {}
    for words in LENGTHS:
        texts = [" ".join(text.split()[:words]) for text in LONG[source]]
        for text in texts:
            translator.steered(text, source, target, _WHOLE)
        costs = [
            _spent(partial(translator.steered, text, source, target, _WHOLE)) for text in texts for _ in range(_REPEATS)
        ]
        figures[f"ms_{words}w"] = 1000 * median(costs)
    rooms = [" ".join(LONG[source][i % len(LONG[source])].split()[:20]) for i in range(ROOMS)]
    batches = [_spent(lambda: _at_once(translator, rooms, source, target)) for _ in range(_REPEATS)]
    figures["rooms"] = ROOMS
    figures["rooms_ms"] = 1000 * median(batches) / ROOMS
    return figures


def _spent(work: Callable[[], object]) -> float:
    """Processor seconds of all threads."""
    began = time.process_time()
    work()
    return time.process_time() - began


def _at_once(translator: Steerable, texts: list[str], source: str, target: str) -> None:
    """As rooms do it: each from a thread of its own."""
    ready = threading.Barrier(len(texts))

    def ask(text: str) -> None:
        ready.wait()
        translator.steered(text, source, target, _WHOLE)

    threads = [threading.Thread(target=ask, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
