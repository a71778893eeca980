"""Writes a tiny llama model with random weights, for the real llama.cpp server: `python tiny_gguf.py FILE`.

It runs in the servers' environment (numpy, gguf), not in ours. What the model says is noise; that the server behind it
is real is the point.
"""

import string
import sys

import gguf
import numpy as np  # type: ignore[import-not-found, unused-ignore]

WIDTH = 64
LAYERS = 2
HEADS = 4
FEED_FORWARD = 128
CONTEXT = 32768
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
"""SentencePiece's kinds of tokens."""
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def vocabulary() -> list[tuple[str, float, int]]:
    """Tokens with score and kind: specials, every byte, letters with and without a space before them."""
    specials = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    every_byte = [(f"<0x{value:02X}>", 0.0, BYTE) for value in range(256)]
    letters = [*"\u2581", *string.ascii_lowercase, *(f"\u2581{letter}" for letter in string.ascii_lowercase)]
    punctuation = [*string.digits, *".,:;!?'\"()-\n"]
    plain = [(piece, -float(rank), NORMAL) for rank, piece in enumerate([*letters, *punctuation])]
    markers = [("<|im_start|>", 0.0, CONTROL), ("<|im_end|>", 0.0, CONTROL)]
    return [*specials, *every_byte, *plain, *markers]


def write(path: str, seed: int = 7) -> None:
    tokens = vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    _add_shape(writer)
    _add_vocabulary(writer, tokens)
    for name, tensor in _tensors(len(tokens), np.random.default_rng(seed)):
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: gguf.GGUFWriter) -> None:
    writer.add_name("tiny-random")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _add_vocabulary(writer: gguf.GGUFWriter, tokens: list[tuple[str, float, int]]) -> None:
    names = [name for name, _, _ in tokens]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(names)
    writer.add_token_scores([score for _, score, _ in tokens])
    writer.add_token_types([kind for _, _, kind in tokens])
    writer.add_unk_token_id(names.index("<unk>"))
    writer.add_bos_token_id(names.index("<s>"))
    writer.add_eos_token_id(names.index("</s>"))
    writer.add_eot_token_id(names.index("<|im_end|>"))
    writer.add_chat_template(CHAT_TEMPLATE)


def _tensors(size: int, random: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    def weights(*shape: int) -> np.ndarray:
        return random.normal(0, 0.05, shape).astype(np.float32)

    ones = np.ones(WIDTH, dtype=np.float32)
    tensors = [
        ("token_embd.weight", weights(size, WIDTH)),
        ("output_norm.weight", ones),
        ("output.weight", weights(size, WIDTH)),
    ]
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        tensors += [(f"{block}.{name}.weight", ones) for name in ("attn_norm", "ffn_norm")]
        tensors += [(f"{block}.attn_{name}.weight", weights(WIDTH, WIDTH)) for name in ("q", "k", "v", "output")]
        tensors += [(f"{block}.ffn_{name}.weight", weights(FEED_FORWARD, WIDTH)) for name in ("gate", "up")]
        tensors.append((f"{block}.ffn_down.weight", weights(WIDTH, FEED_FORWARD)))
    return tensors


if __name__ == "__main__":
    write(sys.argv[1])
