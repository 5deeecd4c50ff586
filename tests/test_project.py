"""What holds for the project as a whole: imports point one way, the wheel is complete, nothing foreign is named."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.text import Text
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from dragoman import __version__
from dragoman.__main__ import app

ROOT = Path(__file__).parents[1]
FOLDERS = ("audio", "models", "asr", "tts", "verifier", "translation", "agent", "web", "benchmarks")
MAY_IMPORT = {
    "audio": set(),
    "models": {"audio"},
    "asr": {"audio", "models"},
    "tts": {"audio", "models"},
    "verifier": {"audio", "models"},
    "translation": {"audio", "models"},
    "agent": {"audio", "models", "asr", "tts", "verifier", "translation", "benchmarks"},
    "web": {"audio", "models", "asr", "tts", "verifier", "translation", "agent"},
    "benchmarks": {"audio", "models", "asr", "tts", "verifier", "translation", "agent"},
}


def _tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""] + [f"{node.module}.{alias.name}" for alias in node.names]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        for name in names:
            parts = name.split(".")
            if parts[0] == "dragoman" and len(parts) > 1:
                yield parts[1]


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_point_one_way(folder: str) -> None:
    """web -> agent -> {asr, tts, verifier, translation} -> audio; the four in the middle don't know each other."""
    allowed = MAY_IMPORT[folder] | {folder, "__version__"}
    for path in (ROOT / folder).rglob("*.py"):
        assert set(_imported(path)) <= allowed, path


def test_the_run_time_needs_no_torch() -> None:
    """Loading every module of the command line imports neither torch nor transformers."""
    code = "import sys, dragoman.__main__; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"


def _commands(group: TyperGroup) -> Iterator[TyperCommand]:
    for command in group.commands.values():
        if isinstance(command, TyperGroup):
            yield from _commands(command)
        else:
            assert isinstance(command, TyperCommand)
            yield command


def test_every_command_takes_json_and_shows_its_help_whole() -> None:
    """As the README says; and no bracket of a help text is lost as markup."""
    every = get_command(app)
    assert isinstance(every, TyperGroup)
    for command in _commands(every):
        assert "--json" in [option for each in command.params for option in each.opts], command.name
        for text in (command.help, *(getattr(each, "help", None) for each in command.params)):
            assert Text.from_markup(text or "").plain == (text or "").replace("\\[", "["), command.name


def test_the_wheel_has_what_git_has(tmp_path: Path) -> None:
    """The wheel holds every tracked file of the folders, and no other."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tracked = {f"dragoman/{path.relative_to(ROOT)}" for path in _tracked(*FOLDERS)}
    package = {str(path.relative_to(ROOT)) for path in _tracked("dragoman") if not path.is_dir()}
    assert inside == tracked | package


def test_modules_are_small() -> None:
    """One idea per module: none is longer than 400 lines."""
    modules = [path for folder in FOLDERS for path in _tracked(f"{folder}/*.py")]
    assert len(modules) > 50
    long = {str(p.relative_to(ROOT)): n for p in modules if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


def test_nothing_foreign_is_named() -> None:
    """No path of one machine and no package registry's host in any file."""
    foreign = re.compile(
        r"(?<![\w.])/(?:work|root|home)/\w|pypi\.org|files\.pythonhosted|registry\.npmjs|deb\.debian\.org"
    )
    for path in _tracked():
        if path.suffix in {".py", ".md", ".toml", ".txt", ".js", ".html", ".css", ".sh", ""} and path != Path(__file__):
            text = path.read_text(encoding="utf-8", errors="ignore")
            found = foreign.search(text)
            assert found is None, f"{path.relative_to(ROOT)}: {found}"


def test_numpy_keeps_to_one_core() -> None:
    """Its small matrices are multiplied while a language model has the other cores: a second thread would only wait."""
    pytest.importorskip("threadpoolctl")
    code = (
        "import dragoman.verifier.model; from threadpoolctl import threadpool_info; "
        "print({pool['num_threads'] for pool in threadpool_info() if pool['user_api'] == 'blas'})"
    )
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout.strip() == "{1}"


def test_the_command_tells_its_version() -> None:
    """What a report of a fault begins with."""
    told = CliRunner().invoke(app, ["--version"])
    assert (told.exit_code, told.output) == (0, f"dragoman {__version__}\n")
