"""What a file is, told by its name alone: its kind, its format, its precision.

A name is the weakest evidence: a header or the Hub's own metadata overrules
it, where someone has looked. Telling by name is free, so listings can do it.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Final, NamedTuple


class Kind(enum.StrEnum):
    """What a file is for."""

    MODEL = "model"
    CONFIG = "config"
    TOKENIZER = "tokenizer"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Classification:
    """The verdict. `format` and `precision` are empty where they do not apply or cannot be told."""

    kind: Kind
    format: str = ""
    precision: str = ""


class _Rule(NamedTuple):
    pattern: re.Pattern[str]
    kind: Kind
    format: str = ""


def _rules(*rows: tuple[str, Kind, str]) -> tuple[_Rule, ...]:
    return tuple(
        _Rule(re.compile(rf"(?:^|/)(?:{pattern})\Z", re.DOTALL), kind, form)
        for pattern, kind, form in rows
    )


# Names that say more than their suffix; matched against the lower-case path, first match wins.
# Patterns begin at a directory's or the file's name, and end where the path does.
_BY_NAME: Final = _rules(
    (r"(tokenizer(_config)?|tekken|added_tokens|special_tokens_map)\.json", Kind.TOKENIZER, ""),
    (r"vocab\.(json|txt|bpe)|merges\.txt|chat_template\.(jinja|json)", Kind.TOKENIZER, ""),
    (r"tokenizer\.model(\.v\d+)?|(sentencepiece[^/]*|spiece|spm)\.model", Kind.TOKENIZER, ""),
    (r"[^/]*\.(spm|tiktoken)", Kind.TOKENIZER, ""),
    (r"openvino_(de)?tokenizer\.(xml|bin)", Kind.TOKENIZER, "openvino"),
    (r"config[^/]*\.json|[^/]*_config\.json|[^/]*\.index\.json", Kind.CONFIG, ""),
    (r"(modules|params|model_index)\.json", Kind.CONFIG, ""),
    # What a trainer leaves behind to go on later: tensors, but no model.
    (r"(training_args|optimizer|scheduler|scaler|rng_state[^/]*)\.(bin|pth?)", Kind.OTHER, ""),
    (r"openvino[^/]*\.(xml|bin)", Kind.MODEL, "openvino"),
    (r"ggml-[^/]*\.bin", Kind.MODEL, "ggml"),
    (r"[^/]*pytorch_[^/]*\.bin|(adapter_)?model[^/]*\.bin", Kind.MODEL, "pytorch"),
    (r"[^/]*flax_model[^/]*\.msgpack", Kind.MODEL, "flax"),
    (r"[^/]*\.onnx[._]data(_\d+)?", Kind.MODEL, "onnx"),
    (r"[^/]*\.mlpackage/.*", Kind.MODEL, "coreml"),
    (r"variables/variables\.(index|data-\d+-of-\d+)", Kind.MODEL, "tensorflow"),
    (r"[^/]*\.ckpt(-\d+)?\.(index|meta|data-\d+-of-\d+)", Kind.MODEL, "tensorflow"),
)

_BY_SUFFIX: Final = {
    "safetensors": (Kind.MODEL, "safetensors"),
    "gguf": (Kind.MODEL, "gguf"),
    "pt": (Kind.MODEL, "pytorch"),
    "pth": (Kind.MODEL, "pytorch"),
    "ckpt": (Kind.MODEL, "pytorch"),
    "jit": (Kind.MODEL, "torchscript"),
    "pte": (Kind.MODEL, "executorch"),
    "onnx": (Kind.MODEL, "onnx"),
    "ort": (Kind.MODEL, "onnx"),
    "tflite": (Kind.MODEL, "tflite"),
    "task": (Kind.MODEL, "mediapipe"),
    "h5": (Kind.MODEL, "keras"),
    "keras": (Kind.MODEL, "keras"),
    "pb": (Kind.MODEL, "tensorflow"),
    "ot": (Kind.MODEL, "rust"),
    "mlmodel": (Kind.MODEL, "coreml"),
    "mar": (Kind.MODEL, "torchserve"),
    "npz": (Kind.MODEL, "numpy"),
    "engine": (Kind.MODEL, "tensorrt"),
    "pdparams": (Kind.MODEL, "paddle"),
    "nemo": (Kind.MODEL, "nemo"),
    "llamafile": (Kind.MODEL, "llamafile"),
    "yaml": (Kind.CONFIG, ""),
    "yml": (Kind.CONFIG, ""),
    "toml": (Kind.CONFIG, ""),
}
_OTHER: Final = (Kind.OTHER, "")

# GGUF's labels are those of the Hub (`@huggingface/tasks`, gguf.ts), in the order of their
# parts; then the words of other formats. The longest reading of a word counts.
_PRECISION: Final = re.compile(
    r"(?<![a-z0-9])("
    r"i?q[1-8]_(?:k|nl|xxs|xs|s|m|l|[01])(?:_(?:xxs|xs|s|m|l|xl|[48]))*"
    r"|tq[12]_0|mxfp4_moe|mxfp[468]|nvfp4|bf16|fp?(?:16|32|64)|float(?:16|32|64)|half(?=\.)"
    r"|fp8|float8|u?int[48]|w4a16|w8a8|awq|gptq|exl[23]|nf4|bnb[-_]?4(?:bit)?|[48]-?bit"
    r"|quantized|q4f16|q[48]"
    r")(?![a-z0-9])"
)
_SAME_PRECISION: Final = {
    "f16": "fp16",
    "float16": "fp16",
    "half": "fp16",
    "f32": "fp32",
    "float32": "fp32",
    "f64": "fp64",
    "float64": "fp64",
    "float8": "fp8",
    "4-bit": "4bit",
    "8-bit": "8bit",
    "bnb4": "bnb-4bit",
    "bnb-4": "bnb-4bit",
    "bnb_4": "bnb-4bit",
    "bnb4bit": "bnb-4bit",
    "bnb_4bit": "bnb-4bit",
    "quantized": "q8",  # transformers.js: the suffix of its dtype q8
}


def classify(path: str, siblings: Container[str] = ()) -> Classification:
    """Tell what the file at `path` is.

    `siblings` are the names beside it, where they are known: a `.bin` beside
    an `.xml` of the same name is OpenVINO's.
    """
    lowered = path.lower()
    kind, form = _find_by_siblings(path, siblings) or _by_name(lowered)
    precision = _precision(lowered.rpartition("/")[2]) if kind is Kind.MODEL else ""
    return Classification(kind, form, precision)


def _find_by_siblings(path: str, siblings: Container[str]) -> tuple[Kind, str] | None:
    stem, _, suffix = path.rpartition("/")[2].rpartition(".")
    other = {"bin": "xml", "xml": "bin"}.get(suffix)
    if other is None or f"{stem}.{other}" not in siblings:
        return None
    return (Kind.TOKENIZER if stem.endswith("tokenizer") else Kind.MODEL), "openvino"


def _by_name(path: str) -> tuple[Kind, str]:
    for rule in _BY_NAME:
        if rule.pattern.search(path):
            return rule.kind, rule.format
    _, dot, suffix = path.rpartition("/")[2].rpartition(".")
    return _BY_SUFFIX.get(suffix, _OTHER) if dot else _OTHER


def _precision(name: str) -> str:
    found = _PRECISION.findall(name)
    return _SAME_PRECISION.get(found[-1], found[-1]) if found else ""
