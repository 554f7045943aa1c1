"""Token ids, masks and spans of a dialogue; sampled ids are kept to the letter."""

import itertools

from veriloop.core.message import Sampled, ToolCall, ToolResult, Turn
from veriloop.local.render import Renderer

CALL = Turn(
    seat="agent",
    tool_calls=(ToolCall(id="1", name="get_parcel", arguments={"tracking": "VP123"}),),
    results=(ToolResult(call_id="1", content='{"tracking": "VP123", "status": "at_depot"}'),),
)
TURNS = [
    Turn(seat="agent", content="Hi! How can I help you today?"),
    Turn(seat="user", content="I want VP123 back."),
    CALL,
    Turn(seat="agent", content="Done, VP123 is back."),
    Turn(seat="user", content="Thanks ###STOP###"),
]


def spoken(renderer, rendered):
    return [renderer.tokenizer.decode(rendered.ids[start:end]) for start, end in rendered.spans]


def test_the_mask_covers_exactly_the_seats_own_tokens(tokenizer):
    renderer = Renderer(tokenizer, "agent")
    rendered = renderer.render("", TURNS)
    assert spoken(renderer, rendered) == [
        '<|call|>get_parcel {"tracking": "VP123"}<|end|>',
        "Done, VP123 is back.<|end|>",
    ]
    inside = {place for start, end in rendered.spans for place in range(start, end)}
    assert rendered.mask == [int(place in inside) for place in range(len(rendered.ids))]


def test_the_greeting_is_context_for_the_agent(tokenizer):
    rendered = Renderer(tokenizer, "agent").render("", TURNS[:1])
    assert rendered.ids
    assert sum(rendered.mask) == 0


def test_the_user_learns_its_own_words_and_reads_its_script(tokenizer):
    renderer = Renderer(tokenizer, "user")
    visible = [TURNS[0], TURNS[1], TURNS[3], TURNS[4]]
    rendered = renderer.render("You are brief.", visible)
    assert spoken(renderer, rendered) == ["I want VP123 back.<|end|>", "Thanks ###STOP###<|end|>"]
    assert tokenizer.decode(rendered.ids).startswith("<|system|>You are brief.<|end|>")


def test_the_whole_text_is_what_the_template_gives(tokenizer):
    renderer = Renderer(tokenizer, "agent")
    from veriloop.local.chat import to_chat

    whole = tokenizer.apply_chat_template(to_chat("", TURNS, "agent"), tokenize=False)
    assert tokenizer.decode(renderer.render("", TURNS).ids) == whole


def test_a_longer_dialogue_starts_with_the_shorter_one(tokenizer):
    renderer = Renderer(tokenizer, "agent", aliases=True)
    texts = [renderer.render("", TURNS[:count]).ids for count in range(1, 6)]
    for short, long in itertools.pairwise(texts):
        assert long[: len(short)] == short


def test_identifiers_become_one_alias_everywhere(tokenizer):
    renderer = Renderer(tokenizer, "agent", aliases=True)
    rendered = renderer.render("", TURNS)
    aliases = [
        token
        for token in tokenizer.convert_ids_to_tokens(rendered.ids)
        if token.startswith("<") and token[1:-1].isalnum()
    ]
    assert len(aliases) == 4
    assert len(set(aliases)) == 1


def test_sampled_ids_are_never_encoded_again(tokenizer):
    # A spelling the tokenizer itself would never choose: letter by letter.
    text = "I want to send parcel"
    ids = [tokenizer.convert_tokens_to_ids(letter.replace(" ", "\u0120")) for letter in text] + [tokenizer.eos_token_id]
    turn = Turn(seat="agent", content=text, sampled=Sampled(token_ids=tuple(ids), logprobs=(-1.0,) * len(ids)))
    renderer = Renderer(tokenizer, "agent")
    rendered = renderer.render("", [*TURNS[:2], turn])
    start, end = rendered.spans[0]
    assert rendered.ids[start:end] == ids
    assert renderer.encode(f"{text}<|end|>") != ids
