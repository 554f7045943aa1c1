from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from veriloop.core.message import Message, Turn
from veriloop.core.trace import StopReason
from veriloop.local.codec import AliasCodec
from veriloop.local.model import LoadedModel, save_model
from veriloop.local.player import LocalPlayer, Sampling
from veriloop.local.sampler import Reply
from veriloop.rollout.player import View

HELLO = Turn(seat="agent", content="Hi! How can I help you today?")
QUICK = Sampling(tokens=8, rows=4)


def view(key: str, *said: str, extra: Sequence[Turn] = ()) -> View:
    turns = (HELLO, *(Turn(seat="user", content=text) for text in said), *extra)
    return View(key=key, task_id="t", seat="agent", system="policy", tools=(), turns=turns, seed=0)


def ids_of(messages: Sequence[Message]) -> list[tuple[int, ...]]:
    return [message.sampled.token_ids for message in messages if message.sampled]


def say(player: LocalPlayer, text: str, *, cut: bool = False) -> list[list[int]]:
    """Make the sampler give a fixed text; returns the list of the contexts it will be fed."""
    fed: list[list[int]] = []
    tokenizer = player._loaded.tokenizer
    ids = tokenizer.encode(text, add_special_tokens=False) + ([] if cut else [tokenizer.eos_token_id])

    given: list[tuple[int, Reply]] = []

    def begin(ticket: int, key: str, context: list[int], seed: int) -> None:
        fed.append(context)
        given.append((ticket, Reply(list(ids), [-0.5] * len(ids), cut)))

    player._sampler.begin = begin  # pyright: ignore[reportAttributeAccessIssue]
    player._sampler.advance = lambda: [given.pop() for _ in range(len(given))]  # pyright: ignore[reportAttributeAccessIssue]
    return fed


def test_a_batch_is_answered_as_one_by_one(loaded: LoadedModel):
    views = [view(f"k{number}", "I want to send a parcel back." * (number % 3 + 1)) for number in range(10)]
    together = LocalPlayer(loaded, "agent", sampling=QUICK).reply(views)
    alone = [LocalPlayer(loaded, "agent", sampling=QUICK).reply([one])[0] for one in views]
    assert ids_of(together) == ids_of(alone) and len(ids_of(together)) == 10
    for left, right in zip(together, alone, strict=True):
        assert left.sampled and right.sampled
        assert left.sampled.logprobs == pytest.approx(right.sampled.logprobs, abs=1e-4)
    assert len(set(ids_of(together))) == 10


def test_no_views_need_no_answer(loaded: LoadedModel):
    assert LocalPlayer(loaded, "agent", sampling=QUICK).reply([]) == []


def test_a_dialogue_that_goes_on_is_answered_as_if_read_anew(loaded: LoadedModel):
    player = LocalPlayer(loaded, "agent", sampling=QUICK)
    first = player.reply([view("k", "hello")])[0]
    own = Turn(**{**dict(first), "malformed": None, "content": "hm"}, seat="agent")
    longer = view("k", "hello", extra=(own, Turn(seat="user", content="and then?")))
    assert ids_of(player.reply([longer])) == ids_of(LocalPlayer(loaded, "agent", sampling=QUICK).reply([longer]))


def test_a_shorter_view_of_a_known_key_starts_over(loaded: LoadedModel):
    player = LocalPlayer(loaded, "agent", sampling=QUICK)
    fresh = ids_of(LocalPlayer(loaded, "agent", sampling=QUICK).reply([view("k", "hello")]))
    player.reply([view("k", "hello", "again", "and again")])
    assert ids_of(player.reply([view("k", "hello")])) == fresh


@pytest.mark.parametrize(
    ("text", "malformed"),
    [
        ("<|call|>get_parcel {", "no JSON"),
        ("<|call|>get_parcel [1]", "no JSON object"),
        ('<|call|>get_parcel {"a": ' + "[" * 400 + "]" * 400 + "}", "nest too deeply"),
        ("well <|user|>", "control tokens"),
        ("", "empty reply"),
    ],
)
def test_what_is_no_message_is_malformed_and_keeps_its_ids(loaded: LoadedModel, text: str, malformed: str):
    player = LocalPlayer(loaded, "agent", sampling=QUICK)
    say(player, text)
    message = player.reply([view("k", "hello")])[0]
    assert malformed in (message.malformed or "")
    assert message.sampled and message.sampled.token_ids[-1] == loaded.tokenizer.eos_token_id


def test_a_reply_without_an_end_is_malformed(loaded: LoadedModel):
    player = LocalPlayer(loaded, "agent", sampling=QUICK)
    say(player, "parcel back", cut=True)
    message = player.reply([view("k", "hello")])[0]
    assert message.malformed == "no end within 8 tokens" and message.content == "parcel back"
    assert message.usage and message.sampled and message.usage.completion == len(message.sampled.token_ids)


def test_the_models_folder_says_how_long_a_dialogue_may_be(loaded: LoadedModel):
    views = [view("k0", "k" * 400)]
    short = replace(loaded, settings=replace(loaded.settings, context=60))
    assert "60 tokens is full" in (LocalPlayer(short, "agent", sampling=QUICK).reply(views)[0].malformed or "")
    assert "full" not in (LocalPlayer(loaded, "agent", sampling=QUICK).reply(views)[0].malformed or "")


def test_a_full_context_is_named_and_others_are_answered(loaded: LoadedModel):
    player = LocalPlayer(loaded, "agent", sampling=Sampling(tokens=8, context=60, rows=4))
    long, short = player.reply([view("a", "parcel " * 60), view("b", "hello")])
    assert (long.malformed or "").startswith(StopReason.TOO_LONG.value) and long.sampled is None
    assert short.sampled is not None


def test_aliases_go_in_and_are_put_back(loaded: LoadedModel):
    player = LocalPlayer(loaded, "agent", sampling=QUICK)
    fed = say(player, '<|call|>get_parcel {"tracking": "<V0>"}')
    message = player.reply([view("k", "It is VP123, my mail is ada.b25@post.example")])[0]
    read = loaded.tokenizer.decode(fed[0])
    assert "<V0>" in read and "<m0>" in read and "VP123" not in read
    assert message.tool_calls[0].arguments == {"tracking": "VP123"}
    assert message.sampled and message.sampled.context == {"<V0>": "VP123", "<m0>": "ada.b25@post.example"}
    assert AliasCodec(message.sampled.context).encode("VP123") == "<V0>"


@pytest.mark.parametrize(("policy", "read"), [("full", True), ("none", False)])
def test_the_policy_is_read_only_where_the_settings_say_so(loaded: LoadedModel, policy: str, read: bool):
    from veriloop.local.model import ModelSettings

    settings = ModelSettings(aliases=True, policy="full" if policy == "full" else "none")
    player = LocalPlayer(LoadedModel(loaded.model, loaded.tokenizer, settings), "agent", sampling=QUICK)
    fed = say(player, "ok")
    player.reply([view("k", "hello")])
    assert ("<|system|>policy<|end|>" in loaded.tokenizer.decode(fed[0])) == read


def test_forget_drops_what_old_weights_computed(loaded: LoadedModel, tmp_path):
    save_model(loaded, tmp_path)
    player = LocalPlayer.load(tmp_path, "agent", sampling=Sampling(tokens=8, rows=4, temperature=0))
    assert player.name == f"local:{tmp_path.name}"
    one = view("k", "I want to send a parcel back, please.")
    player.reply([one])
    with torch.no_grad():
        for value in player._loaded.model.parameters():
            value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(1)) * 0.5)
    assert player._transcripts and player._sampler._rows
    player.forget()
    assert not player._transcripts and not player._sampler._rows
    fresh = LocalPlayer(player._loaded, "agent", sampling=player.sampling)
    found, expected = player.reply([one])[0].sampled, fresh.reply([one])[0].sampled
    assert found and expected and found.token_ids == expected.token_ids
    assert found.logprobs == pytest.approx(expected.logprobs, abs=1e-5)


def test_transcripts_kept_are_bounded(loaded: LoadedModel):
    player = LocalPlayer(loaded, "agent", sampling=Sampling(tokens=1, rows=2))
    player.reply([view(f"k{number}", "hello") for number in range(20)])
    assert len(player._transcripts) == 8 and "k19" in player._transcripts


def test_cancelled_answers_never_come(loaded: LoadedModel):
    player = LocalPlayer(loaded, "agent", sampling=QUICK)
    player.begin(0, view("k", "hello"))
    player.advance()
    player.cancel()
    assert [player.advance() for _ in range(12)] == [[]] * 12
    player.begin(0, view("k", "hello"))
    fresh = LocalPlayer(loaded, "agent", sampling=QUICK).reply([view("k", "hello")])
    answers = [message for _ in range(12) for _, message in player.advance()]
    assert ids_of(answers) == ids_of(fresh)
