"""A language model of 13 MB that llama.cpp runs; what it says is noise, and always the same."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from gguf import GGUFWriter, TokenType

WIDTH: Final = 256
LAYERS: Final = 3
VOCABULARY: Final = [b"<unk>", b"<s>", b"</s>", *(b"<0x%02X>" % byte for byte in range(256))]
KINDS: Final = [TokenType.UNKNOWN, *[TokenType.CONTROL] * 2, *[TokenType.BYTE] * 256]
LAYER: Final = {
    "attn_norm": (WIDTH,),
    **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH)),
    "ffn_norm": (WIDTH,),
    "ffn_gate": (4 * WIDTH, WIDTH),
    "ffn_up": (4 * WIDTH, WIDTH),
    "ffn_down": (WIDTH, 4 * WIDTH),
}
TENSORS: Final = {
    "token_embd": (len(VOCABULARY), WIDTH),
    "output_norm": (WIDTH,),
    "output": (len(VOCABULARY), WIDTH),
} | {f"blk.{at}.{name}": shape for at in range(LAYERS) for name, shape in LAYER.items()}


def write_model(path: Path) -> Path:
    """Write the model to a file; return its path."""
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(4 * WIDTH)
    writer.add_head_count(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(VOCABULARY))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(VOCABULARY)
    writer.add_token_scores([0.0] * len(VOCABULARY))
    writer.add_token_types(KINDS)
    draw = np.random.default_rng(7)
    for name, shape in TENSORS.items():
        writer.add_tensor(f"{name}.weight", (draw.random(shape, np.float32) - 0.5) / 8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
