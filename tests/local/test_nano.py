from typing import Any

import pytest
import torch

from veriloop.local.nano import SIZES, VOCABULARY, make_nano


def weights(model: Any) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in model.parameters()])


def test_nano_has_under_a_million_parameters_and_pico_far_fewer(tokenizer: Any):
    assert 500_000 < weights(make_nano(tokenizer)).numel() < 1_000_000
    assert weights(make_nano(tokenizer, "pico")).numel() < 200_000


def test_mini_has_about_two_million_parameters_and_every_size_its_vocabulary(tokenizer: Any):
    model = make_nano(tokenizer, "mini")
    assert 1_600_000 < weights(model).numel() < 2_100_000
    assert (model.config.num_attention_heads, model.config.head_dim) == (6, 32)
    assert VOCABULARY.keys() == SIZES.keys()


@pytest.mark.parametrize("size", SIZES)
def test_the_shape_is_qwen3_in_float32_with_tied_embeddings(tokenizer: Any, size: str):
    model = make_nano(tokenizer, size, context=64)
    assert model.config.model_type == "qwen3"
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert model.config.vocab_size % 8 == 0 and 0 <= model.config.vocab_size - len(tokenizer) < 8
    assert model.config.num_key_value_heads == 1 and model.config.max_position_embeddings == 64
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.generation_config.pad_token_id == model.config.pad_token_id == tokenizer.pad_token_id
    assert model.config.eos_token_id == tokenizer.eos_token_id


def test_the_seed_alone_decides_the_weights(tokenizer: Any):
    torch.manual_seed(99)
    first = weights(make_nano(tokenizer, "pico", seed=3))
    torch.rand(5)
    assert first.equal(weights(make_nano(tokenizer, "pico", seed=3)))
    assert not first.equal(weights(make_nano(tokenizer, "pico", seed=4)))


def test_an_unknown_size_is_an_error(tokenizer: Any):
    with pytest.raises(KeyError):
        make_nano(tokenizer, "giga")


def test_a_fresh_model_knows_nothing(tokenizer: Any):
    model = make_nano(tokenizer, "pico")
    ids = torch.tensor([tokenizer.encode("I want to send parcel <V3> back")])
    loss = model(ids, labels=ids).loss.item()
    assert loss == pytest.approx(torch.tensor(float(model.config.vocab_size)).log().item(), abs=0.5)
