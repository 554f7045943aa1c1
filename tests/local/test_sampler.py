"""Sampling: exact log-probabilities, draws that do not depend on the company, caches that do not change answers."""

import random

import pytest
import torch

from veriloop.local.sampler import Sampler

END = 1


def make(loaded, rows=8, temperature=1.0, limit=12):
    end = loaded.tokenizer.eos_token_id
    return Sampler(loaded.model, end=end, pad=0, rows=rows, temperature=temperature, limit=limit)


CONTEXTS = [[2, 60, 61, 4], [2, 70, 4], [2, 80, 81, 82, 83, 4]]


def finish(sampler):
    """Advance until nothing is under way; returns the replies by ticket, in the order they were complete."""
    done = {}
    while sampler._writing or sampler._waiting:
        done.update(sampler.advance())
    return done


def test_logprobs_are_those_of_the_model(loaded):
    reply = make(loaded).sample(["a"], [CONTEXTS[0]], [3])[0]
    with torch.no_grad():
        logits = loaded.model(torch.tensor([CONTEXTS[0] + reply.ids])).logits[0]
    logprobs = logits.log_softmax(-1)
    start = len(CONTEXTS[0]) - 1
    wanted = [logprobs[start + place, token].item() for place, token in enumerate(reply.ids)]
    torch.testing.assert_close(torch.tensor(reply.logprobs), torch.tensor(wanted), atol=1e-4, rtol=1e-4)


def test_draws_do_not_depend_on_who_else_is_in_the_batch(loaded):
    together = make(loaded).sample(["a", "b", "c"], CONTEXTS, [1, 2, 3])
    alone = [
        make(loaded).sample(["x"], [context], [seed])[0] for context, seed in zip(CONTEXTS, [1, 2, 3], strict=True)
    ]
    assert [reply.ids for reply in together] == [reply.ids for reply in alone]


def test_a_cached_row_answers_like_a_fresh_one(loaded):
    sampler = make(loaded)
    first = sampler.sample(["a", "b"], CONTEXTS[:2], [1, 2])
    longer = [CONTEXTS[0] + first[0].ids + [2, 65, 4], CONTEXTS[1] + first[1].ids + [2, 66, 67, 68, 4]]
    cached = sampler.sample(["a", "b"], longer, [5, 6])
    fresh = make(loaded).sample(["a", "b"], longer, [5, 6])
    assert [reply.ids for reply in cached] == [reply.ids for reply in fresh]


def test_a_context_that_turned_another_way_is_not_answered_from_the_cache(loaded):
    sampler = make(loaded)
    sampler.sample(["a"], [CONTEXTS[0]], [1])
    other = [2, 99, 98, 97, 4]
    assert sampler.sample(["a"], [other], [7])[0].ids == make(loaded).sample(["a"], [other], [7])[0].ids


def test_more_dialogues_than_rows_still_answer_alike(loaded):
    small, large = make(loaded, rows=2), make(loaded, rows=8)
    keys = ["a", "b", "c"]
    for seed in (1, 2):
        one_by_one = [small.sample([k], [c], [seed])[0].ids for k, c in zip(keys, CONTEXTS, strict=True)]
        together = [reply.ids for reply in large.sample(keys, CONTEXTS, [seed] * 3)]
        assert one_by_one == together


@pytest.mark.parametrize("rows", [1, 2, 3, 8])
def test_whoever_comes_late_or_waits_for_a_row_is_answered_as_if_alone(loaded, rows):
    """Replies are begun at any time, more than there are rows, and go on from what an earlier turn left cached."""
    rng, sampler, limit = random.Random(rows), make(loaded, rows), 12
    contexts = {key: [2, *rng.sample(range(60, 99), rng.randint(1, 9)), 4] for key in "abcdef"}
    for turn in range(3):
        waiting, done = list(contexts), {}
        while len(done) < len(contexts):
            for key in waiting[: rng.randint(0, 2)]:
                waiting.remove(key)
                sampler.begin(ord(key), key, contexts[key], turn)
            done.update(sampler.advance())
        for key, context in contexts.items():
            alone = make(loaded).sample(["x"], [context], [turn])[0]
            assert done[ord(key)].ids == alone.ids and len(alone.ids) <= limit
            torch.testing.assert_close(
                torch.tensor(done[ord(key)].logprobs), torch.tensor(alone.logprobs), atol=1e-4, rtol=1e-4
            )
            contexts[key] = [*context, *alone.ids, *rng.sample(range(60, 99), 2), 4]


def test_a_short_reply_is_given_out_while_a_long_one_is_written(loaded):
    sampler = make(loaded, limit=40)
    seeds = {seed: len(sampler.sample(["x"], [CONTEXTS[0]], [seed])[0].ids) for seed in range(12)}
    short, long = min(seeds, key=seeds.__getitem__), max(seeds, key=seeds.__getitem__)
    assert seeds[short] < seeds[long]
    sampler.begin(0, "long", CONTEXTS[0], long)
    sampler.begin(1, "short", CONTEXTS[0], short)
    assert list(finish(sampler)) == [1, 0]


def test_one_dialogue_asked_twice_is_answered_in_turn(loaded):
    sampler = make(loaded)
    sampler.begin(0, "a", CONTEXTS[0], 1)
    sampler.begin(1, "a", CONTEXTS[0], 2)
    found = finish(sampler)
    assert [found[ticket].ids for ticket in (0, 1)] == [
        make(loaded).sample(["a"], [CONTEXTS[0]], [seed])[0].ids for seed in (1, 2)
    ]


def test_nothing_under_way_gives_nothing(loaded):
    sampler = make(loaded)
    assert sampler.advance() == []
    sampler.begin(0, "a", CONTEXTS[0], 1)
    sampler.forget()
    assert sampler.advance() == [] and finish(sampler) == {}


def test_only_what_is_new_is_read(loaded, monkeypatch):
    sampler, widths = make(loaded), []
    forward = sampler._decoder.forward
    monkeypatch.setattr(
        sampler._decoder, "forward", lambda cache, ids, *rest: widths.append(ids.shape[1]) or forward(cache, ids, *rest)
    )
    reply = sampler.sample(["a"], [CONTEXTS[2]], [1])[0]
    assert widths == [6] + [1] * (len(reply.ids) - 1)
    widths.clear()
    sampler.sample(["a"], [[*CONTEXTS[2], *reply.ids, 2, 66, 4]], [1])
    assert widths[0] == 4, "the last token of the reply was never run through the model"


def test_a_row_of_the_batch_never_makes_room_for_another_of_it(loaded):
    small = make(loaded, rows=2)
    first = small.sample(["a", "b"], CONTEXTS[:2], [1, 2])
    contexts = [CONTEXTS[0] + first[0].ids + [2, 65, 4], CONTEXTS[2]]
    for seeds in ([3, 4], [5, 6]):
        found = small.sample(["a", "c"], contexts, seeds)
        wanted = make(loaded).sample(["a", "c"], contexts, seeds)
        for mine, fresh in zip(found, wanted, strict=True):
            assert mine.ids == fresh.ids
            torch.testing.assert_close(torch.tensor(mine.logprobs), torch.tensor(fresh.logprobs), atol=1e-4, rtol=1e-4)
        contexts = [context + reply.ids + [2, 66, 4] for context, reply in zip(contexts, found, strict=True)]


def test_changed_weights_need_forgetting(loaded):
    sampler = make(loaded, temperature=0)
    before = sampler.sample(["a"], [CONTEXTS[2]], [1])[0]
    weight = loaded.model.model.embed_tokens.weight
    saved = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.copy_(saved.roll(1, dims=0))
        sampler.forget()
        after = sampler.sample(["a"], [CONTEXTS[2]], [1])[0]
        fresh = make(loaded, temperature=0).sample(["a"], [CONTEXTS[2]], [1])[0]
    finally:
        with torch.no_grad():
            weight.copy_(saved)
    assert after.ids == fresh.ids
    assert after.logprobs != before.logprobs


def test_the_limit_cuts_and_says_so(loaded):
    for reply in make(loaded, limit=2).sample(["a", "b", "c"], CONTEXTS, [1, 2, 3]):
        assert len(reply.ids) <= 2
        assert reply.cut == (reply.ids[-1] != loaded.tokenizer.eos_token_id)
        assert len(reply.logprobs) == len(reply.ids)


def test_temperature_zero_is_the_likeliest_token(loaded):
    reply = make(loaded, temperature=0, limit=1).sample(["a"], [CONTEXTS[0]], [1])[0]
    with torch.no_grad():
        logits = loaded.model(torch.tensor([CONTEXTS[0]])).logits[0, -1]
    assert reply.ids == [int(logits.argmax())]


def test_frequencies_follow_the_distribution(loaded):
    sampler = make(loaded, rows=64, limit=1)
    with torch.no_grad():
        wanted = loaded.model(torch.tensor([CONTEXTS[1]])).logits[0, -1].softmax(-1)
    drawn = []
    for start in range(0, 1920, 64):
        keys = [str(number) for number in range(64)]
        drawn += [r.ids[0] for r in sampler.sample(keys, [CONTEXTS[1]] * 64, range(start, start + 64))]
    counts = torch.bincount(torch.tensor(drawn), minlength=len(wanted)).float() / len(drawn)
    assert (counts - wanted).abs().max() < 0.02


def count_reads(sampler):
    """Return a list that gets the number of tokens that each further pass reads, by row."""
    seen, forward = [], sampler._decoder.forward

    def note(cache, ids, counts, start=0):
        seen.append(counts.tolist())
        return forward(cache, ids, counts, start)

    sampler._decoder.forward = note
    return seen


def test_without_a_key_a_dialogue_goes_on_where_it_was_written_and_others_share_its_beginning(loaded):
    sampler = make(loaded, limit=4)
    head = [2, *range(60, 90), 4]
    sampler.begin(0, None, head, 1)
    first = finish(sampler)[0].ids
    reads = count_reads(sampler)
    sampler.begin(1, None, [*head, *first, 61, 4], 2)
    finish(sampler)
    assert reads[0] == [3]  # the last token of the reply was never run, and two are new
    del reads[:]
    sampler.begin(2, None, [*head, 99, 4], 3)
    sampler.begin(3, None, [*head, *first, 61, 4, 5], 4)
    found = finish(sampler)
    assert reads[0] == [2, 1]
    assert found[2].ids == make(loaded, limit=4).sample(["x"], [[*head, 99, 4]], [3])[0].ids


@pytest.mark.parametrize("rows", [1, 2, 3, 8])
def test_dialogues_that_branch_are_answered_as_if_alone(loaded, rows):
    """Requests without keys, drawn from a tree of dialogues, some of them dropped on the way."""
    rng, sampler = random.Random(rows), make(loaded, rows)
    contexts = [[2, *range(60, 75), 4]]
    asked, done, dropped = {}, {}, set()
    for ticket in range(40):
        context = [*rng.choice(contexts), *rng.sample(range(60, 99), rng.randint(0, 3)), 4]
        asked[ticket] = context, rng.choice([0.0, 1.0, 0.5]), rng.randint(1, 9)
        sampler.begin(ticket, None, context, ticket, temperature=asked[ticket][1], limit=asked[ticket][2])
        for _ in range(rng.randint(0, 4)):
            for key, reply in sampler.advance():
                done[key] = reply
                contexts.append([*asked[key][0], *reply.ids])
        if rng.random() < 0.2:
            victim = rng.choice(list(asked))
            sampler.drop(victim)
            dropped |= {victim} - done.keys()
    done.update(finish(sampler))
    assert done.keys() == asked.keys() - dropped and dropped
    for ticket, reply in done.items():
        context, temperature, limit = asked[ticket]
        alone = make(loaded, temperature=temperature, limit=limit).sample(["x"], [context], [ticket])[0]
        assert reply.ids == alone.ids and len(reply.ids) <= limit
        torch.testing.assert_close(torch.tensor(reply.logprobs), torch.tensor(alone.logprobs), atol=1e-4, rtol=1e-4)


def test_what_is_written_so_far_can_be_seen(loaded):
    sampler = make(loaded, limit=9)
    sampler.begin(7, None, CONTEXTS[0], 3)
    seen = []
    while not (done := dict(sampler.advance())):
        seen.append(list(sampler.written()[7]))
    assert len(seen) > 1 and all(done[7].ids[: len(ids)] == ids for ids in seen) and sampler.written() == {}


def test_long_prompts_are_not_all_read_at_once(loaded, monkeypatch):
    contexts = {ticket: [2, *range(60, 90 + ticket), 4] for ticket in range(4)}
    monkeypatch.setattr("veriloop.local.sampler.READ", 2 * loaded.model.config.num_attention_heads * 35 * 8)
    monkeypatch.setattr("veriloop.local.sampler.PIECE", 8)
    sampler = make(loaded, limit=30)
    reads = count_reads(sampler)
    for ticket, context in contexts.items():
        sampler.begin(ticket, None, context, ticket)
    found = finish(sampler)
    prompts = [counts for counts in reads if max(counts) > 1]
    assert len(prompts[0]) == 2 and max(max(counts) for counts in prompts) == 8 and found.keys() == contexts.keys()
    for ticket, context in contexts.items():
        assert found[ticket].ids == make(loaded, limit=30).sample(["x"], [context], [ticket])[0].ids
