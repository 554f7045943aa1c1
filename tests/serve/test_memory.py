from typing import Any

from veriloop.core.message import Sampled, ToolCall, ToolResult, Turn
from veriloop.serve.memory import Memory
from veriloop.serve.request import Asked

HELLO = Turn(seat="user", content="hello")
TOKENS = Sampled(token_ids=(1, 2, 3), logprobs=(-1.0, -1.0, -1.0))


def asked(*turns: Turn, system: str = "", **more: Any) -> Asked:
    return Asked(system, turns, **more)


def sampled(memory: Memory, dialogue: Asked) -> list[Sampled | None]:
    return [turn.sampled for turn in memory.recall(dialogue).turns]


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(id=name, name="f", arguments=arguments)


def test_a_reply_is_recalled_in_its_dialogue_and_in_no_other():
    memory = Memory("agent")
    memory.keep(memory.recall(asked(HELLO)).digest, "hi", (), TOKENS)
    said, more = Turn(seat="agent", content="hi"), Turn(seat="user", content="more")
    assert sampled(memory, asked(HELLO, said, more)) == [None, TOKENS, None]
    for other in (
        asked(HELLO, Turn(seat="agent", content="hi!"), more),
        asked(HELLO, Turn(seat="user", content="hi"), more),
        asked(more, said, more),
        asked(HELLO, said, more, system="policy"),
        asked(HELLO, said, more, tools=({"a": 1},)),
    ):
        assert not any(sampled(memory, other))


def test_calls_are_known_by_what_they_say_and_their_results_count():
    memory = Memory("agent")
    memory.keep(memory.recall(asked(HELLO)).digest, "beside", (call("a", x=1, y=2),), TOKENS)

    def turn(given: ToolCall, text: str) -> Turn:
        return Turn(seat="agent", tool_calls=(given,), results=(ToolResult(call_id=given.id, content=text),))

    assert sampled(memory, asked(HELLO, turn(call("b", y=2, x=1), "done")))[1] == TOKENS
    assert sampled(memory, asked(HELLO, turn(call("b", x=2, y=1), "done")))[1] is None
    first, second = (memory.recall(asked(HELLO, turn(call("a", x=1, y=2), text))).digest for text in ("one", "two"))
    assert first != second


def test_the_oldest_are_forgotten():
    memory = Memory("agent", size=3)
    dialogues = [asked(Turn(seat="user", content=str(number))) for number in range(5)]
    for dialogue in dialogues:
        memory.keep(memory.recall(dialogue).digest, "hi", (), TOKENS)
    kept = [
        bool(sampled(memory, asked(*dialogue.turns, Turn(seat="agent", content="hi"), HELLO))[1])
        for dialogue in dialogues
    ]
    assert kept == [False, False, True, True, True]
