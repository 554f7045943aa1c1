"""The own forward pass agrees with transformers, for rows that grow at their own pace."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from veriloop.core.errors import InputError
from veriloop.local.decoder import Decoder, pad_rows

SHAPE = dict(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48)


def models(loaded):
    torch.manual_seed(0)
    yield loaded.model
    yield LlamaForCausalLM(LlamaConfig(**SHAPE, num_key_value_heads=2)).eval()
    yield Qwen2ForCausalLM(Qwen2Config(**SHAPE, num_key_value_heads=2)).eval()


def test_logits_agree_over_appended_pieces_of_different_length(loaded):
    for model in models(loaded):
        decoder = Decoder(model)
        cache = decoder.new_cache(3)
        generator = torch.Generator().manual_seed(1)
        rows = [torch.randint(0, 60, (length,), generator=generator).tolist() for length in (150, 31, 7)]
        logits = None
        cuts = [[0, 90, 149, 150], [0, 5, 30, 31], [0, 1, 6, 7]]
        for piece in range(3):
            parts = [row[cut[piece] : cut[piece + 1]] for row, cut in zip(rows, cuts, strict=True)]
            logits = decoder.forward(cache, *pad_rows(parts, 0, torch.device("cpu")))
        for place, row in enumerate(rows):
            with torch.no_grad():
                wanted = model(torch.tensor([row])).logits[0, -1]
            torch.testing.assert_close(logits[place], wanted, atol=2e-5, rtol=1e-4)


def test_some_rows_go_on_alone_and_rows_change_places(loaded):
    decoder = Decoder(loaded.model)
    cache = decoder.new_cache(4)
    ids, counts = pad_rows([[1, 2, 3], [4, 5], [6], [7, 8, 9, 10]], 0, torch.device("cpu"))
    decoder.forward(cache, ids, counts)
    decoder.forward(cache, torch.tensor([[11], [12]]), torch.ones(2, dtype=torch.long), start=1)
    cache.swap(0, 2)
    logits = decoder.forward(cache, torch.tensor([[20]] * 4), torch.ones(4, dtype=torch.long))
    for place, row in enumerate([[6, 12, 20], [4, 5, 11, 20], [1, 2, 3, 20], [7, 8, 9, 10, 20]]):
        with torch.no_grad():
            wanted = loaded.model(torch.tensor([row])).logits[0, -1]
        torch.testing.assert_close(logits[place], wanted, atol=2e-5, rtol=1e-4)


def test_an_unknown_architecture_is_refused():
    model = GPT2LMHeadModel(GPT2Config(vocab_size=16, n_embd=8, n_layer=1, n_head=1))
    with pytest.raises(InputError, match="gpt2"):
        Decoder(model)
