"""The desk: what a model wrote as an answer, many at once, and what goes wrong on the way."""

import queue
import time
from collections.abc import Iterator
from typing import Any

import pytest

from servers.served import TOOL, Told, make_loaded
from veriloop.core.errors import InputError
from veriloop.core.message import Turn
from veriloop.serve import desk as module
from veriloop.serve.answer import Answer, Piece
from veriloop.serve.desk import Desk
from veriloop.serve.dialogue import RequestError
from veriloop.serve.request import Asked

HELLO = Turn(seat="user", content="I want to send parcel VP123 back to the sender.")
CALL = '<|call|>get_parcel {"tracking": "<V0>"}'


class Asker:
    """Asks a desk from this thread."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def begin(self, *turns: Turn, **more: Any) -> "queue.SimpleQueue[Any]":
        events = queue.SimpleQueue[Any]()
        self.desk.ask(Asked(turns=turns or (HELLO,), **{"system": "", "limit": 8, **more}), events.put)
        return events

    def ask(self, *turns: Turn, **more: Any) -> Any:
        """Return the last event."""
        return self.watch(*turns, **more)[-1]

    def watch(self, *turns: Turn, **more: Any) -> list[Any]:
        """Return all events."""
        events, seen = self.begin(*turns, **more), []
        while not seen or isinstance(seen[-1], Piece):
            seen.append(events.get(timeout=30))
        return seen


@pytest.fixture
def asker() -> Iterator[Asker]:
    desk = Desk(make_loaded(), rows=4)
    yield Asker(desk)
    desk.close()


def test_calls_are_read_and_named_once_in_a_dialogue(asker: Asker):
    told = Told(asker.desk, [CALL, CALL, "fine"])
    first = asker.ask(tools=(TOOL,))
    assert (first.content, first.finish, first.malformed) == ("", "tool_calls", None)
    assert (first.calls[0].name, first.calls[0].arguments) == ("get_parcel", {"tracking": "VP123"})
    turn = Turn(seat="agent", tool_calls=first.calls, results=())
    second = asker.ask(HELLO, turn, HELLO, tools=(TOOL,))
    assert second.calls[0].id != first.calls[0].id
    assert asker.ask(HELLO).content == "fine" and "<V0>" in asker.desk._loaded.tokenizer.decode(told.fed[0])


@pytest.mark.parametrize(
    ("text", "malformed"),
    [
        ("<|call|>get_parcel {", "no JSON"),
        ("<|call|>get_parcel [1]", "no JSON object"),
        ('<|call|>get_parcel {"a": ' + "[" * 400 + "]" * 400 + "}", "nest too deeply"),
        ("well <|user|>", "control tokens"),
        ("<tool_call>{}</tool_call>", "no JSON object with a name"),
        ("", "empty reply"),
    ],
)
def test_what_cannot_be_read_is_text_and_says_so(asker: Asker, text: str, malformed: str):
    Told(asker.desk, [text])
    answer = asker.ask(tools=(TOOL,))
    assert (answer.content, answer.calls, answer.finish) == (text, (), "stop") and malformed in answer.malformed


def test_a_call_that_no_tool_was_offered_for_is_text(asker: Asker):
    Told(asker.desk, [CALL])
    answer = asker.ask()
    assert answer.calls == () and "VP123" in answer.content and "offers none" in answer.malformed


def test_a_reply_without_an_end_is_cut_and_a_call_in_it_is_not_made(asker: Asker):
    Told(asker.desk, [CALL], cut=True)
    answer = asker.ask(tools=(TOOL,))
    assert (answer.calls, answer.finish) == ((), "length") and answer.content.startswith("<|call|>")


def test_words_before_a_call_are_kept(asker: Asker):
    Told(asker.desk, ['I look. <tool_call>{"name": "get_parcel", "arguments": {"a": 1}}</tool_call>'])
    answer = asker.ask(tools=(TOOL,))
    assert answer.content == "I look." and answer.calls[0].arguments == {"a": 1}


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("I want to send", True),
        ("  parcel é back ", True),
        ("I look. <tool_call>{}</tool_call>", True),
        (CALL, False),
        ("<V0> is yours", True),
        ("<V7> is yours", False),
    ],
)
def test_pieces_are_the_beginning_of_the_answer_whatever_comes_of_it(asker: Asker, text: str, pieces: bool):
    Told(asker.desk, [text, text])
    *seen, answer = asker.watch(tools=(TOOL,), stream=True)
    assert answer.content.startswith("".join(piece.text for piece in seen)) and bool(seen) == pieces
    assert "<" not in "".join(piece.text for piece in seen)
    assert [type(event) for event in asker.watch(tools=(TOOL,))] == [Answer]


def test_many_are_answered_as_one_by_one_and_by_their_seeds(asker: Asker):
    dialogues = [Turn(seat="user", content=f"parcel {number} " * (number % 4 + 1)) for number in range(12)]
    events = [asker.begin(turn, seed=number) for number, turn in enumerate(dialogues)]
    together = [found.get(timeout=30).content for found in events]
    assert together == [asker.ask(turn, seed=number).content for number, turn in enumerate(dialogues)]
    assert len(set(together)) == 12
    assert together[0] != asker.ask(dialogues[0], seed=99).content
    assert len({asker.ask(dialogues[0]).content for _ in range(6)}) > 1
    assert len({asker.ask(dialogues[0], temperature=0.0).content for _ in range(3)}) == 1


def test_a_dialogue_that_goes_on_is_read_from_where_it_stopped_token_by_token(asker: Asker):
    """What an untrained model writes is such that its text would never give the same tokens again."""
    asker.desk.context = 9000
    answers = (asker.ask(seed=seed, limit=1200) for seed in range(20))
    answer = next(found for found in answers if found.finish == "stop")
    own, more = Turn(seat="agent", content=answer.content), Turn(seat="user", content="and then?")
    written = answer.usage.prompt + answer.usage.completion
    assert asker.ask(HELLO, own, more).usage.cached == written - 1
    other = asker.ask(HELLO, own.model_copy(update={"content": answer.content + "!"}), more)
    assert answer.usage.prompt <= other.usage.cached < written - 1


def test_a_full_context_is_refused_and_a_nearly_full_one_is_cut(asker: Asker):
    asker.desk.context = 60
    error = asker.ask(Turn(seat="user", content="parcel " * 60))
    assert isinstance(error, RequestError) and error.code == "context_length_exceeded" and error.status == 400
    told = Told(asker.desk, ["ok", "ok"])
    for limit in (None, 500):
        asker.ask(limit=limit)
    assert [wanted["limit"] for wanted in told.wanted] == [60 - len(told.fed[0])] * 2


def test_a_dropped_reply_frees_its_place(asker: Asker):
    events = queue.SimpleQueue[Any]()
    tickets = [asker.desk.ask(Asked("", (HELLO,), limit=1200), events.put) for _ in range(9)]
    for ticket in tickets:
        asker.desk.drop(ticket)
    assert isinstance(asker.ask(), Answer)
    assert asker.desk.busy == 0 and not asker.desk._sampler._writing and not asker.desk._sampler._waiting
    assert events.empty() or all(isinstance(events.get(), Answer) for _ in range(events.qsize()))


def test_a_model_that_fails_is_told_and_goes_on(asker: Asker, monkeypatch: pytest.MonkeyPatch):
    advance = asker.desk._sampler.advance
    faults = [RuntimeError("out of memory"), MemoryError()]

    def fail() -> Any:
        if faults and asker.desk._jobs:
            raise faults.pop(0)
        return advance()

    monkeypatch.setattr(asker.desk._sampler, "advance", fail)
    for said in ("out of memory", "the model failed"):
        error = asker.ask()
        assert isinstance(error, RequestError) and error.status == 500 and said in str(error)
    assert isinstance(asker.ask(), Answer)


def test_a_template_that_takes_no_such_dialogue_is_refused(asker: Asker):
    template = "{% if messages[0].content == 'no' %}{{ 1 / 0 if false else raise_exception('not this') }}{% endif %}"
    asker.desk._loaded.tokenizer.chat_template = template + asker.desk._loaded.tokenizer.chat_template
    error = asker.ask(Turn(seat="user", content="no"))
    assert isinstance(error, RequestError) and error.status == 400 and "not this" in str(error)
    assert isinstance(asker.ask(), Answer)


def test_schemas_that_nest_without_end_harm_nobody(asker: Asker):
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"a": deep}
    error = asker.ask(tools=({**TOOL, "x": deep},))
    assert isinstance(error, RequestError) and error.status == 400
    assert isinstance(asker.ask(), Answer)


def test_who_comes_when_all_is_full_or_over_is_sent_away(asker: Asker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "QUEUE", 0)
    with pytest.raises(RequestError, match="waiting already") as found:
        asker.ask()
    assert found.value.status == 503
    monkeypatch.undo()
    events = asker.begin(limit=1400)
    asker.desk.close()
    error = events.get(timeout=5)
    assert isinstance(error, RequestError) and (error.status, str(error)) == (503, "the server is stopping")
    with pytest.raises(RequestError, match="stopping"):
        asker.ask()
    asker.desk._thread.join(10)
    assert not asker.desk._thread.is_alive()


def test_a_desk_whose_thread_broke_says_so(asker: Asker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    monkeypatch.setattr(asker.desk._sampler, "advance", lambda: 1 / 0)
    assert isinstance(asker.ask(), RequestError)
    deadline = time.monotonic() + 5
    while asker.desk.open and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not asker.desk.open


def test_schemas_are_shown_to_models_that_read_them_and_few_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "RENDERERS", 2)
    desk = Desk(make_loaded(plain=True), rows=2)
    told = Told(desk, ["ok"] * 4)
    for name in ("one", "two", "three", "two"):
        tool = {"type": "function", "function": {"name": name, "parameters": {}}}
        assert Asker(desk).ask(tools=(tool,), system="policy").content == "ok"
    texts = [desk._loaded.tokenizer.decode(ids) for ids in told.fed]
    assert ['"one"' in text for text in texts] == [True, False, False, False] and len(desk._renderers) == 2
    assert all("policy" in text for text in texts)
    desk.close()


def test_a_model_that_cannot_be_served_is_refused_at_once():
    loaded = make_loaded()
    loaded.tokenizer.chat_template = "{{ messages | length }}"
    with pytest.raises(InputError, match="prefix-preserving"):
        Desk(loaded)
