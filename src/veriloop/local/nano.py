"""A small model of the Qwen3 architecture, made from scratch and saved as an ordinary Hugging Face folder."""

from typing import Any

SIZES = {
    "mini": {"hidden_size": 192, "num_hidden_layers": 4, "intermediate_size": 576, "num_attention_heads": 6},
    "nano": {"hidden_size": 128, "num_hidden_layers": 4, "intermediate_size": 384, "num_attention_heads": 4},
    "pico": {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "num_attention_heads": 4},
}
"""mini: about 2.0 M parameters. nano: about 0.9 M parameters. pico: for tests."""
VOCABULARY = {"mini": 2000, "nano": 1300, "pico": 1300}
"""Tokens of the tokenizer that is made with each."""


def make_nano(tokenizer: Any, size: str = "nano", *, context: int = 2048, seed: int = 0) -> Any:
    """Return a fresh float32 model for `tokenizer`; all heads share one key and value head: the cache stays small."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    shape: dict[str, Any] = SIZES[size]
    config = Qwen3Config(
        vocab_size=(len(tokenizer) + 7) // 8 * 8,
        num_key_value_heads=1,
        head_dim=shape["hidden_size"] // shape["num_attention_heads"],
        max_position_embeddings=context,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        attention_dropout=0.0,
        **shape,
    )
    model = Qwen3ForCausalLM(config)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.float()
