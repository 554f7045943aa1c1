"""Sampling: exact log-probabilities, draws that do not depend on the company, caches that do not change answers."""

import torch

from veriloop.local.sampler import Sampler

END = 1


def make(loaded, rows=8):
    return Sampler(loaded.model, end=loaded.tokenizer.eos_token_id, pad=0, rows=rows)


CONTEXTS = [[2, 60, 61, 4], [2, 70, 4], [2, 80, 81, 82, 83, 4]]


def sample(sampler, keys, contexts, seeds, temperature=1.0, limit=12):
    return sampler.sample(keys, contexts, temperature=temperature, limit=limit, seeds=seeds)


def test_logprobs_are_those_of_the_model(loaded):
    reply = sample(make(loaded), ["a"], [CONTEXTS[0]], [3])[0]
    with torch.no_grad():
        logits = loaded.model(torch.tensor([CONTEXTS[0] + reply.ids])).logits[0]
    logprobs = logits.log_softmax(-1)
    start = len(CONTEXTS[0]) - 1
    wanted = [logprobs[start + place, token].item() for place, token in enumerate(reply.ids)]
    torch.testing.assert_close(torch.tensor(reply.logprobs), torch.tensor(wanted), atol=1e-4, rtol=1e-4)


def test_draws_do_not_depend_on_who_else_is_in_the_batch(loaded):
    together = sample(make(loaded), ["a", "b", "c"], CONTEXTS, [1, 2, 3])
    alone = [
        sample(make(loaded), ["x"], [context], [seed])[0] for context, seed in zip(CONTEXTS, [1, 2, 3], strict=True)
    ]
    assert [reply.ids for reply in together] == [reply.ids for reply in alone]


def test_a_cached_row_answers_like_a_fresh_one(loaded):
    sampler = make(loaded)
    first = sample(sampler, ["a", "b"], CONTEXTS[:2], [1, 2])
    longer = [CONTEXTS[0] + first[0].ids + [2, 65, 4], CONTEXTS[1] + first[1].ids + [2, 66, 67, 68, 4]]
    cached = sample(sampler, ["a", "b"], longer, [5, 6])
    fresh = sample(make(loaded), ["a", "b"], longer, [5, 6])
    assert [reply.ids for reply in cached] == [reply.ids for reply in fresh]


def test_a_context_that_turned_another_way_is_not_answered_from_the_cache(loaded):
    sampler = make(loaded)
    sample(sampler, ["a"], [CONTEXTS[0]], [1])
    other = [2, 99, 98, 97, 4]
    assert sample(sampler, ["a"], [other], [7])[0].ids == sample(make(loaded), ["a"], [other], [7])[0].ids


def test_more_dialogues_than_rows_still_answer_alike(loaded):
    small, large = make(loaded, rows=2), make(loaded, rows=8)
    keys = ["a", "b", "c"]
    for seed in (1, 2):
        one_by_one = [sample(small, [k], [c], [seed])[0].ids for k, c in zip(keys, CONTEXTS, strict=True)]
        together = [reply.ids for reply in sample(large, keys, CONTEXTS, [seed] * 3)]
        assert one_by_one == together


def test_a_row_of_the_batch_never_makes_room_for_another_of_it(loaded):
    small = make(loaded, rows=2)
    first = sample(small, ["a", "b"], CONTEXTS[:2], [1, 2])
    contexts = [CONTEXTS[0] + first[0].ids + [2, 65, 4], CONTEXTS[2]]
    for seeds in ([3, 4], [5, 6]):
        found = sample(small, ["a", "c"], contexts, seeds)
        wanted = sample(make(loaded), ["a", "c"], contexts, seeds)
        for mine, fresh in zip(found, wanted, strict=True):
            assert mine.ids == fresh.ids
            torch.testing.assert_close(torch.tensor(mine.logprobs), torch.tensor(fresh.logprobs), atol=1e-4, rtol=1e-4)
        contexts = [context + reply.ids + [2, 66, 4] for context, reply in zip(contexts, found, strict=True)]


def test_changed_weights_need_forgetting(loaded):
    sampler = make(loaded)
    before = sample(sampler, ["a"], [CONTEXTS[2]], [1], temperature=0)[0]
    weight = loaded.model.model.embed_tokens.weight
    saved = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.copy_(saved.roll(1, dims=0))
        sampler.forget()
        after = sample(sampler, ["a"], [CONTEXTS[2]], [1], temperature=0)[0]
        fresh = sample(make(loaded), ["a"], [CONTEXTS[2]], [1], temperature=0)[0]
    finally:
        with torch.no_grad():
            weight.copy_(saved)
    assert after.ids == fresh.ids
    assert after.logprobs != before.logprobs


def test_the_limit_cuts_and_says_so(loaded):
    for reply in sample(make(loaded), ["a", "b", "c"], CONTEXTS, [1, 2, 3], limit=2):
        assert len(reply.ids) <= 2
        assert reply.cut == (reply.ids[-1] != loaded.tokenizer.eos_token_id)
        assert len(reply.logprobs) == len(reply.ids)


def test_temperature_zero_is_the_likeliest_token(loaded):
    reply = sample(make(loaded), ["a"], [CONTEXTS[0]], [1], temperature=0, limit=1)[0]
    with torch.no_grad():
        logits = loaded.model(torch.tensor([CONTEXTS[0]])).logits[0, -1]
    assert reply.ids == [int(logits.argmax())]


def test_frequencies_follow_the_distribution(loaded):
    sampler = make(loaded, rows=64)
    with torch.no_grad():
        wanted = loaded.model(torch.tensor([CONTEXTS[1]])).logits[0, -1].softmax(-1)
    drawn = []
    for start in range(0, 1920, 64):
        keys = [str(number) for number in range(64)]
        drawn += [r.ids[0] for r in sample(sampler, keys, [CONTEXTS[1]] * 64, range(start, start + 64), limit=1)]
    counts = torch.bincount(torch.tensor(drawn), minlength=len(wanted)).float() / len(drawn)
    assert (counts - wanted).abs().max() < 0.02
