"""A folder of drafts with their labels: for each shard ``<shard>.npz`` and ``<shard>.json``, and the
labels of all in ``labels.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from dragoman.agent.drafter.drafting import Drafted
from dragoman.agent.drafter.drafts import Draft, load_drafts, save_drafts
from dragoman.audio.reading import ANEW, expecting
from dragoman.audio.types import DragomanError, Json
from dragoman.audio.writing import replacing
from dragoman.verifier.labels import Label

LABELS: Final = "labels.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where drafts come from: digest of the drafter, and seed."""

    drafter: str
    seed: int


def save_shard(folder: Path, shard: str, drafted: Sequence[Drafted], origin: Origin) -> None:
    """Write the drafts of a shard; the index comes last, and with it the shard is done."""
    save_drafts(folder / f"{shard}.npz", [one.draft for one in drafted], [one.name for one in drafted])
    entries = [{field: getattr(one, field) for field in _FIELDS} for one in drafted]
    _write(folder / f"{shard}.json", {"origin": asdict(origin), "drafts": entries})


def is_done(folder: Path, shard: str, origin: Origin) -> bool:
    """Whether the drafts of a shard are there. Raises ``DragomanError`` when they are of another origin."""
    path = folder / f"{shard}.json"
    if not path.is_file():
        return False
    found, _ = _read(path)
    if found != origin:
        raise DragomanError(
            f"{folder} holds drafts of another drafter or of other settings ({found.drafter}, seed {found.seed}): "
            "choose another folder, or delete it"
        )
    return True


def load_folder(folder: Path) -> tuple[Origin, list[Drafted]]:
    """All drafts of a folder. Raises ``DragomanError`` when there are none, or of several drafters."""
    paths = sorted(folder.glob("*-?????.json"))
    if not paths:
        raise DragomanError(f"{folder} holds no drafts: run `dragoman data drafts`")
    origins, drafted = set[Origin](), list[Drafted]()
    for path in paths:
        origin, entries = _read(path)
        drafts = load_drafts(path.with_suffix(".npz"))
        if [name for name, _ in drafts] != [entry["name"] for entry in entries]:
            raise DragomanError(f"{path}: not the index of the drafts beside it; delete both and make them anew")
        drafted += [_of(entry, draft) for entry, (_, draft) in zip(entries, drafts, strict=True)]
        origins.add(origin)
    if len(origins) > 1:
        raise DragomanError(f"{folder} holds drafts of several drafters: delete those that are not wanted")
    return origins.pop(), drafted


def save_labels(folder: Path, labels: Mapping[str, Label], about: Mapping[str, Json]) -> Path:
    """Write the labels of a folder, and beside them what made them."""
    path = folder / LABELS
    _write(path, {"about": about, "labels": {name: asdict(label) for name, label in labels.items()}})
    return path


def load_labels(folder: Path) -> tuple[dict[str, Label], dict[str, Json]]:
    """The labels of a folder, and what made them. Raises ``DragomanError``."""
    path = folder / LABELS
    if not path.is_file():
        raise DragomanError(f"{folder} holds no labels: run `dragoman data drafts` to its end")
    with expecting("labels of drafts", path, ANEW):
        data = json.loads(path.read_text(encoding="utf-8"))
        return {name: Label(**label) for name, label in data["labels"].items()}, data["about"]


_FIELDS: Final = ("name", "conversation", "kind", "situation", "dialogue", "heard", "said")


def _of(entry: Mapping[str, Any], draft: Draft) -> Drafted:
    dialogue = tuple((role, text) for role, text in entry["dialogue"])
    return Drafted(**{**entry, "dialogue": dialogue, "draft": draft})


def _read(path: Path) -> tuple[Origin, list[dict[str, Any]]]:
    with expecting("an index of drafts", path, ANEW):
        data = json.loads(path.read_text(encoding="utf-8"))
        return Origin(**data["origin"]), list(data["drafts"])


def _write(path: Path, data: Mapping[str, object]) -> None:
    with replacing(path) as partial:
        partial.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
