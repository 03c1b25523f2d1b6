"""Language models of any size that llama.cpp runs; what one says is noise, and always the same."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from gguf import GGUFWriter, TokenType

VOCABULARY: Final = [b"<unk>", b"<s>", b"</s>", *(b"<0x%02X>" % byte for byte in range(256))]
KINDS: Final = [TokenType.UNKNOWN, *[TokenType.CONTROL] * 2, *[TokenType.BYTE] * 256]


def write_model(path: Path, width: int = 256, layers: int = 3) -> Path:
    """Write a model of some `64 * width**2 * layers` bytes to a file; return its path."""
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(4 * width)
    writer.add_head_count(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(VOCABULARY))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(VOCABULARY)
    writer.add_token_scores([0.0] * len(VOCABULARY))
    writer.add_token_types(KINDS)
    draw = np.random.default_rng(7)
    for name, shape in shapes_of(width, layers).items():
        writer.add_tensor(f"{name}.weight", (draw.random(shape, np.float32) - 0.5) / 8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def shapes_of(width: int, layers: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a model."""
    layer = {
        "attn_norm": (width,),
        **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (width, width)),
        "ffn_norm": (width,),
        "ffn_gate": (4 * width, width),
        "ffn_up": (4 * width, width),
        "ffn_down": (width, 4 * width),
    }
    words = (len(VOCABULARY), width)
    return {"token_embd": words, "output_norm": (width,), "output": words} | {
        f"blk.{at}.{name}": shape for at in range(layers) for name, shape in layer.items()
    }
