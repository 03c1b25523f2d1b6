from __future__ import annotations

import re

import pytest
from gguf.constants import LlamaFileType
from hypothesis import given
from hypothesis import strategies as st

from hubfs.model.classification import Classification, Kind, classify


def verdict(path: str) -> str:
    found = classify(path)
    return " ".join(filter(None, (found.kind, found.format, found.precision)))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("model.safetensors", "model safetensors"),
        ("model-00001-of-00002.safetensors", "model safetensors"),
        ("unet/diffusion_pytorch_model.fp16.safetensors", "model safetensors fp16"),
        ("gptq_model-4bit-128g.safetensors", "model safetensors 4bit"),
        ("flux1-dev-fp8_e4m3fn.safetensors", "model safetensors fp8"),
        ("Qwen3-0.6B-Q4_K_M.gguf", "model gguf q4_k_m"),
        ("Qwen3-0.6B-UD-Q4_K_XL.gguf", "model gguf q4_k_xl"),
        ("BF16/Kimi-K2-BF16-00001-of-00045.gguf", "model gguf bf16"),
        ("mmproj-F16.gguf", "model gguf fp16"),
        ("gemma-2-2b-it.q8_0.gguf", "model gguf q8_0"),
        ("pytorch_model-00001-of-00002.bin", "model pytorch"),
        ("adapter_model.bin", "model pytorch"),
        ("original/consolidated.00.pth", "model pytorch"),
        ("silero_vad.jit", "model torchscript"),
        ("ggml-base.en-q5_1.bin", "model ggml q5_1"),
        ("openvino/openvino_model.bin", "model openvino"),
        ("onnx/model_q4f16.onnx", "model onnx q4f16"),
        ("onnx/model_quantized.onnx", "model onnx q8"),
        ("silero_vad_half.onnx", "model onnx fp16"),
        ("model.onnx_data", "model onnx"),
        ("model.onnx.data", "model onnx"),
        ("tf_model.h5", "model keras"),
        ("flax_model.msgpack", "model flax"),
        ("saved_model/variables/variables.data-00000-of-00001", "model tensorflow"),
        ("bert_model.ckpt.index", "model tensorflow"),
        ("Text.mlpackage/Data/com.apple.CoreML/weights/weight.bin", "model coreml"),
        ("tokenizer.json", "tokenizer"),
        ("tokenizer_config.json", "tokenizer"),
        ("tokenizer.model.v3", "tokenizer"),
        ("source.spm", "tokenizer"),
        ("vocab.txt", "tokenizer"),
        ("openvino_tokenizer.bin", "tokenizer openvino"),
        ("config.json", "config"),
        ("1_Pooling/config.json", "config"),
        ("config_sentence_transformers.json", "config"),
        ("preprocessor_config.json", "config"),
        ("model.safetensors.index.json", "config"),
        ("pytorch_model.fp16.bin.index.json", "config"),
        ("model_index.json", "config"),
        ("recipe.yaml", "config"),
        ("training_args.bin", "other"),
        ("optimizer.pt", "other"),
        ("data.bin", "other"),
        ("results.msgpack", "other"),
        ("README.md", "other"),
        (".gitattributes", "other"),
        ("modeling_fp16.py", "other"),
        ("gguf", "other"),
        ("config.json/data", "other"),
    ],
)
def test_a_name_tells_kind_format_and_precision(path: str, expected: str) -> None:
    assert verdict(path) == expected


@pytest.mark.parametrize("kind", [each.name for each in LlamaFileType if each.name != "GUESSED"])
def test_every_precision_that_llama_cpp_writes_is_known(kind: str) -> None:
    label = re.sub(r"^(MOSTLY|ALL)_", "", kind)
    same = {"F16": "fp16", "F32": "fp32"}
    assert verdict(f"some-7B-{label}.gguf") == f"model gguf {same.get(label, label.lower())}"


@pytest.mark.parametrize("name", ["halfway.gguf", "sq8_0.gguf", "fp160.safetensors", "q4.json"])
def test_a_word_within_a_word_is_no_precision(name: str) -> None:
    assert classify(name).precision == ""


def test_the_last_of_several_precisions_counts() -> None:
    assert classify("bf16-base-Q4_K_M.gguf").precision == "q4_k_m"


def test_a_bin_beside_its_xml_is_openvinos() -> None:
    beside = {"encoder.xml", "encoder.bin"}
    openvino = Classification(Kind.MODEL, "openvino")
    assert classify("ov/encoder.bin", beside) == openvino
    assert classify("ov/encoder.xml", beside) == openvino
    assert classify("ov/decoder.bin", beside) == Classification(Kind.OTHER)


@given(st.text())
def test_every_name_has_a_verdict(path: str) -> None:
    found = classify(path)
    assert found.kind in Kind
    assert not (found.precision and found.kind is not Kind.MODEL)


@given(
    st.sampled_from(["Model-Q8_0.gguf", "Tokenizer.json", "README.md"]), st.text("aB/", max_size=9)
)
def test_case_and_directory_do_not_matter(name: str, directory: str) -> None:
    assert classify(f"{directory}/{name}") == classify(name.upper()) == classify(name.lower())
