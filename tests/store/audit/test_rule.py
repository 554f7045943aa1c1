"""Every rule about one row: what it names and, as much, what it leaves alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from lookalike.audit import audit_rows
from veriloop.domains.domain import Domain
from veriloop.store.audit.auditor import Rules
from veriloop.store.audit.ground import can_derive, find_baseless
from veriloop.store.audit.personal import find_personal, passes_iban, passes_luhn
from veriloop.store.audit.policy import read_rule
from veriloop.store.audit.sample import Sample
from veriloop.store.audit.source import Found, Source
from veriloop.store.fault import Fault, RowNotes

Row = dict[str, Any]
SCHEMA = {
    "type": "object",
    "properties": {"order": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["order"],
}
TOOLS = [
    {"type": "function", "function": {"name": "get_order", "description": "Look.", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "list_days", "description": "List."}},
]


def call(name: str = "get_order", arguments: Any = '{"order": "#W123"}', number: str = "c0") -> Row:
    return {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}


def dialogue(*middle: Row, **fields: Any) -> Row:
    """Return a row in which all is well, unless what is put into its middle or said of it is not."""
    messages = [
        {"role": "system", "content": "You help with orders."},
        {"role": "user", "content": "Where is order #W123?"},
        *(middle or CALLED),
        {"role": "assistant", "content": "Order #W123 is on its way."},
    ]
    return {"messages": messages, "tools": json.dumps(TOOLS), **fields}


RESULT: Row = {"role": "tool", "tool_call_id": "c0", "content": '{"order": "#W123", "total": 54.04}'}
CALLED: list[Row] = [{"role": "assistant", "content": "", "tool_calls": [call()]}, RESULT]


def check(row: Row, domain: Domain | None = None, size: int = 0, section: str = "") -> dict[Fault, str]:
    """Return what is wrong with a row, in words."""
    notes = RowNotes("rows.jsonl", 1)
    rules = Rules(lambda name: domain, lambda domain, task: None, 1000)
    rules.check(Found(1, row, size, section), Source(Path("rows.jsonl"), "rows.jsonl"), {}, notes)
    return {finding.fault: finding.what for finding in notes.findings()}


def asked(*calls: Row, **fields: Any) -> Row:
    return {"role": "assistant", "content": "", "tool_calls": list(calls), **fields}


def test_a_sound_row_has_no_fault():
    assert check(dialogue()) == {}
    assert check(dialogue(tools=TOOLS)) == {}
    assert check(dialogue(tools=json.dumps(TOOLS, indent=1))) == {}


CALLS: list[tuple[Fault, Row, str]] = [
    (Fault.UNKNOWN_TOOL, dialogue(asked(call("find_order")), RESULT), "message 2 calls 'find_order'"),
    (Fault.BAD_ARGUMENTS, dialogue(asked(call(arguments="{}")), RESULT), "'order' is a required property"),
    (Fault.BAD_ARGUMENTS, dialogue(asked(call(arguments='{"order": 3}')), RESULT), "order: 3 is not of type"),
    (Fault.BAD_ARGUMENTS, dialogue(asked(call(arguments='{"order": "#W123", "zip": 1}')), RESULT), "no parameter zip"),
    (Fault.BAD_ARGUMENTS, dialogue(asked(call("list_days", '{"a": 1}')), RESULT), "no parameter a"),
    (Fault.BAD_TOOLS, dialogue(tools="{"), "cannot be read"),
    (Fault.BAD_TOOLS, dialogue(tools={"a": 1}), "no list"),
    (Fault.BAD_TOOLS, dialogue(tools=[{"function": {}}]), "a tool has no name"),
    (Fault.BAD_TOOLS, dialogue(tools=[{"name": "f", "parameters": True}]), "no schema"),
    (Fault.BAD_TOOLS, dialogue(tools=[{"name": "f", "parameters": {"type": "text"}}]), "are no schema"),
    (Fault.CALL_IDS, dialogue(asked({**call(), "id": None}), {**RESULT, "tool_call_id": None}), "without an id"),
    (Fault.CALL_IDS, dialogue(asked(call(), call()), RESULT, RESULT), "two calls of one id"),
    (Fault.TOOL_ORDER, dialogue(RESULT, asked(call())), "message 2 is a result of no call"),
    (Fault.TOOL_ORDER, dialogue(asked(call())), "message 2 has a call that no result follows"),
    (Fault.TOOL_ORDER, dialogue(*CALLED, RESULT), "message 4 is a result of no call"),
    (Fault.TOOL_ORDER, dialogue(asked(call()), {"role": "user", "content": "Well?"}, RESULT), "and 1 more"),
    (Fault.RESULT_IDS, dialogue(asked(call()), {**RESULT, "tool_call_id": "c9"}), "has the id 'c9', which no call has"),
    (Fault.RESULT_IDS, dialogue(asked(call()), {**RESULT, "tool_call_id": None}), "without the id of its call"),
    (Fault.RESULT_IDS, dialogue(*CALLED, {**RESULT, "tool_call_id": "c9"}), "message 4 has the id 'c9'"),
    (Fault.TOOL_ORDER, dialogue(*CALLED, {**RESULT, "tool_call_id": "c9"}), "message 4 is a result of no call"),
    (Fault.DIALECT, dialogue(asked({"id": "c0", "name": "get_order", "arguments": '{"order": "1"}'}), RESULT), "flat"),
    (Fault.NULL_ARGUMENTS, dialogue(asked(call(arguments='{"order": "#W123", "count": null}')), RESULT), "count"),
    (Fault.BAD_ROW, {"messages": [{"role": "user", "content": "Hi"}]}, "no reply of the assistant's"),
    (Fault.BAD_ROW, {"messages": []}, "needs a list of messages"),
    (Fault.BAD_ROW, {"text": "hi"}, "neither a dialogue"),
    (Fault.BAD_ROW, {"prompt": "hi", "completion": "ho"}, "lists of messages"),
    (Fault.BAD_ROW, dialogue(loss_on=[1]), "no reply of the assistant's"),
    (Fault.BAD_ROW, dialogue(loss_on=[99]), "no reply of the assistant's"),
]


@pytest.mark.parametrize(("fault", "row", "what"), CALLS)
def test_what_is_wrong_with_calls(fault: Fault, row: Row, what: str):
    assert what in check(row)[fault]


def test_other_spellings_of_messages():
    row = dialogue()
    row["messages"][0] = {"role": "developer", "content": [{"type": "text", "text": "You help "}, {"text": "with it."}]}
    assert check(row) == {}
    for content in (3, {"text": "a"}, [{"type": "image"}], ["a"]):
        row["messages"][0]["content"] = content
        assert set(check(row)) == {Fault.BAD_ROW}


def test_calls_that_are_as_they_may_be():
    several = dialogue(asked(call(), call(number="c1")), {**RESULT, "tool_call_id": "c1"}, RESULT)
    assert check(several) == {}, "results of one message may come in any order"
    again = dialogue(*CALLED, *CALLED)
    assert check(again) == {}, "an id may come again once its call is answered"
    last = dialogue()
    last["messages"][-1] = asked(call())
    assert check(last) == {}, "the call to learn has no result yet"
    function = {"name": "get_order", "parameters": {**SCHEMA, "additionalProperties": True}}
    open_schema = {"type": "function", "function": function}
    assert check(dialogue(asked(call(arguments='{"order": "1", "more": 2}')), RESULT, tools=[open_schema])) == {}


def test_a_schema_that_leads_elsewhere_is_not_followed():
    far = {"name": "get_order", "parameters": {"$ref": "http://127.0.0.1:9/schema.json"}}
    assert "cannot be followed" in check(dialogue(tools=[far]))[Fault.BAD_TOOLS]


UNTOLD = [{"tools": None}, {"tools": []}, {"tools": "[]"}, {"tools": " [] "}, {"tools": ""}]


@pytest.mark.parametrize("fields", UNTOLD, ids=str)
def test_calls_of_tools_that_nobody_tells(fields: Row, parcel: Domain):
    found = check(dialogue(**fields))
    assert set(found) == {Fault.NO_TOOLS} and "calls get_order" in found[Fault.NO_TOOLS]
    talk = dialogue({"role": "assistant", "content": "Hm."}, **fields)
    assert check(talk) == {}, "who calls nothing needs no tools"
    told = dialogue(**fields)
    told["messages"][0]["content"] += ' <tools>{"name": "get_order"}</tools>'
    assert check(told) == {}, "the system text has them"
    told["messages"][0]["content"] = told["messages"][0]["content"].replace("get_order", "get_orders")
    assert set(check(told)) == {Fault.NO_TOOLS}
    assert set(check(dialogue(**fields), parcel)) == {Fault.UNKNOWN_TOOL}, "the domain has others"


def test_a_row_without_a_place_for_tools_needs_none():
    assert check(simulation(), section="simulations") == {}


FUNCTION = {"name": "get_order", "description": "Look.", "parameters": SCHEMA}
ODD_TOOLS: list[tuple[Row, str]] = [
    (FUNCTION, "get_order is listed flat"),
    ({"type": "function", **FUNCTION}, "get_order is listed flat"),
    ({"name": "get_order", "input_schema": SCHEMA}, "get_order is listed with an input_schema"),
]


@pytest.mark.parametrize(("tool", "what"), ODD_TOOLS)
def test_tools_in_other_forms_are_read_and_told(tool: Row, what: str):
    found = check(dialogue(tools=[tool]))
    assert set(found) == {Fault.TOOL_DIALECT} and what in found[Fault.TOOL_DIALECT]
    wrong = dialogue(asked(call(arguments='{"order": 3}')), RESULT, tools=[tool])
    assert set(check(wrong)) == {Fault.TOOL_DIALECT, Fault.BAD_ARGUMENTS}, "its schema counts all the same"


def test_a_tool_listed_twice():
    found = check(dialogue(tools=[*TOOLS, TOOLS[0]]))
    assert found == {Fault.DUPLICATE_TOOL: "get_order is listed 2 times"}


@pytest.mark.parametrize("said", [{"content": ""}, {"content": " \n"}, {"content": None, "reasoning_content": "So."}])
def test_empty_replies_to_learn(said: Row):
    row = dialogue()
    row["messages"][-1] = {"role": "assistant", **said}
    assert set(check(row)) == {Fault.EMPTY_REPLY}
    assert check({**row, "loss_on": [2]}) == {}, "it is not learned"


CALL_TEXTS = [
    'Let me look.\n```json\n{"name": "get_order", "arguments": {"order": "#W123"}}\n```',
    '```\n[{"name": "get_order", "arguments": {"order": "#W123"}}, {"name": "list_days", "arguments": "{}"}]\n```',
    '<function=get_order>{"order": "#W123"}</function>',
    "Days: <function=list_days></function>",
    '<|python_tag|>{"type": "function", "name": "get_order", "parameters": {"order": "#W123"}}<|eom_id|>',
    '<|python_tag|>{"name": "list_days", "parameters": {}}; {"name": "list_days", "parameters": {}}',
    '[TOOL_CALLS] [{"name": "get_order", "arguments": {"order": "#W123"}}]</s>',
    '[TOOL_CALLS]get_order[ARGS]{"order": "#W123"}',
    '{"name": "get_order", "arguments": {"order": "#W123"}}',
    '{"type": "function", "function": {"name": "get_order", "arguments": "{\\"order\\": \\"#W123\\"}"}}',
]


@pytest.mark.parametrize("text", CALL_TEXTS)
def test_calls_in_texts_of_other_dialects(text: str):
    row = dialogue()
    row["messages"][-1]["content"] = text
    assert set(check(row)) == {Fault.CALL_IN_TEXT}
    wrong = text.replace("#W123", "").replace('"order"', '"colour"').replace('\\"order', '\\"colour')
    if wrong != text:
        row["messages"][-1]["content"] = wrong
        assert set(check(row)) == {Fault.CALL_IN_TEXT, Fault.BAD_ARGUMENTS}, "it is judged as a call"


@pytest.mark.parametrize("text", CALL_TEXTS)
def test_no_text_is_a_call_of_what_is_no_tool_or_of_anybody_else(text: str):
    row = dialogue()
    row["messages"][-1]["content"] = text.replace("get_order", "get_weather").replace("list_days", "list_nights")
    assert check(row) == {}
    row = dialogue()
    row["messages"][1]["content"] = text
    assert check(row) == {}, "users may quote what they like"


@pytest.mark.parametrize(
    "text",
    [
        "I would use get_order for that.",
        'Write ```json\n{"name": "get_order"}\n``` and so on.',
        'Its schema:\n```json\n{"name": "get_order", "description": "Look.", "parameters": {"type": "object"}}\n```',
        'Its schema:\n```json\n{"name": "get_order", "parameters": {"type": "object", "properties": {}}}\n```',
        '```json\n{"order": "#W123"}\n```',
        '```json\n{"name": "get_order", "arguments": "later"}\n```',
        '```json\n{"name": "get_order", "arguments": {"order": NaN}}\n```',
        '```json\n{"name": "get_order", "arguments": {}} and more\n```',
        "<function=get_order>order</function>",
        '<function=get_order>{"order": "#W123"}',
        '{"name": "get_order", "arguments": {}} is how one calls it',
        "[TOOL_CALLS] none",
        "<|python_tag|>",
        "```" + "[" * 20_000,
        "[]",
        "{}",
    ],
)
def test_texts_that_only_look_like_calls(text: str):
    row = dialogue()
    row["messages"][-1]["content"] = text
    assert check(row) == {}


def test_the_domains_tools_are_looked_for_in_texts(parcel: Domain):
    name, user_tool = (next(t.name for t in parcel.tools.values() if t.seat == seat) for seat in ("agent", "user"))
    for tool, called in ((name, True), (user_tool, False)):
        said = {"role": "assistant", "content": f'<function={tool}>{{"x": 1}}</function>'}
        row = dialogue({"role": "assistant", "content": "Hm."}, tools=None)
        row["messages"][-1] = said
        assert (Fault.CALL_IN_TEXT in check(row, parcel)) is called


def test_the_domains_tools_stand_in_for_missing_ones(parcel: Domain):
    row = {key: value for key, value in dialogue().items() if key != "tools"}
    assert "none of the tools" in check(row, parcel)[Fault.UNKNOWN_TOOL]
    user_tool = next(tool for tool in parcel.tools.values() if tool.seat == "user")
    own = {**dialogue(asked(call(user_tool.name, "{}")), RESULT), "tools": None}
    assert set(check(own, parcel)) == {Fault.MIXED_SEATS}
    assert Fault.MIXED_SEATS not in check({**own, "seat": "user"}, parcel)


@pytest.mark.parametrize(
    "said",
    [
        "Your reference is QX7719204.",
        "Write to desk@shop.example.",
        "Call 555-794-4150.",
        "The item is 1008292230.",
        "That makes $77.13.",
        "It comes to 77.13 dollars.",
    ],
)
def test_values_from_nowhere_are_named(said: str):
    row = dialogue()
    row["messages"][-1]["content"] = said
    assert set(check(row)) == {Fault.UNGROUNDED}
    row["messages"][0]["content"] += f" {said}"
    assert check(row) == {}, "the system text has it"


@pytest.mark.parametrize(
    "said",
    [
        "Order W123 comes to $54.04.",
        "Two of them make $108.08, on 2024-05-16 at 10:30.",
        "It has 4G, 250 MB and 128GB; 1st floor, 50%.",
    ],
)
def test_values_that_have_a_source_or_are_none(said: str):
    row = dialogue()
    row["messages"][-1]["content"] = said
    assert check(row) == {}


def test_only_replies_to_learn_are_asked_where_they_come_from():
    row = dialogue(*CALLED, {"role": "assistant", "content": "See ZZ998877."}, {"role": "user", "content": "ok"})
    assert set(check(row)) == {Fault.UNGROUNDED}
    assert check({**row, "loss_on": [6]}) == {}
    assert check({**row, "seat": "user"}) == {}


def test_amounts_may_be_worked_out():
    assert all(can_derive(amount, {10.5, 4.25}) for amount in (10.5, 14.75, 6.25, 21.0, 51.0))
    assert not can_derive(99.99, {10.5, 4.25})
    assert list(find_baseless("W1234 for $3", ["w1234 at 1.50"])) == []


def test_what_looks_personal():
    row = dialogue()
    row["messages"][1]["content"] += " Write to ada.lovelace@gmail.com."
    assert set(check(row)) == {Fault.PERSONAL_DATA}
    assert "ada.lovelace" not in check(row)[Fault.PERSONAL_DATA], "what was found is not spread further"
    row["messages"][3]["content"] += " ada.lovelace@gmail.com"
    assert check(row) == {}, "the row's own database made it"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a.b@mail.org", "an e-mail address"),
        ("call (212) 736-5000 now", "a telephone number"),
        ("+44 20 7946 0958", "a telephone number"),
        ("4539 1488 0343 6467", "a payment card"),
        ("078-05-1120", "a social security number"),
        ("DE89 3704 0044 0532 0130 00", "a bank account"),
    ],
)
def test_patterns_of_personal_data(text: str, kind: str):
    assert kind in {found for _, found in find_personal(text)}


@pytest.mark.parametrize(
    "text",
    ["a@b.example", "a@example.com", "a@shop.test", "555-794-4150", "4111 1111 1111 1111", "4539 1488 0343 6468",
     "000-12-3456", "987-65-4321", "DE00 3704 0044 0532 0130 00", "2024-05-16", "#W1234567890123", "12.50 and 13"],
)  # fmt: skip
def test_what_is_nobodys(text: str):
    assert list(find_personal(text)) == []


def test_check_digits():
    assert passes_luhn("79927398713") and not passes_luhn("79927398710") and not passes_luhn("0000000000000")
    assert passes_iban("GB82WEST12345698765432") and not passes_iban("GB82WEST12345698765431")


CLASHES = [
    "You must always ask for the order number first. You must not ask for the order number first.",
    "- You may cancel a pending order by phone\n- You cannot cancel a pending order by phone",
    "Write <tool_call>{}</tool_call>.\nThought: ...\nAction Input: {}",
]


@pytest.mark.parametrize("text", CLASHES)
def test_system_texts_that_contradict_themselves(text: str, tmp_path: Path):
    row = dialogue()
    row["messages"][0]["content"] = text
    assert audit_rows(tmp_path, row) == {Fault.CONTRADICTION: ["1"]}


@pytest.mark.parametrize(
    "text", ["You must not do so. You must do so.", "You must ask first. You may not ask last, ever."]
)
def test_rules_that_are_short_or_about_something_else(text: str, tmp_path: Path):
    row = dialogue()
    row["messages"][0]["content"] = text
    assert audit_rows(tmp_path, row) == {}


def test_a_rule_is_a_sentence_without_its_modal():
    must, never = read_rule("You must refund the whole order."), read_rule("You must never refund the whole order.")
    assert must and never and must.key == never.key
    assert (must.forbids, never.forbids) == (False, True)
    assert read_rule("The order is refunded as a whole.") is None


@pytest.mark.parametrize(
    "flags",
    [{"verdict": "fail", "success": True}, {"reward": 0.0, "correct": 1}, {"passed": True, "solved": "no"},
     {"reward_info": {"reward": 1.0, "reward_breakdown": {"DB": 0.0}}}],
)  # fmt: skip
def test_flags_that_disagree(flags: Row):
    assert set(check(dialogue(**flags))) == {Fault.DISAGREEMENT}


@pytest.mark.parametrize(
    "flags", [{"verdict": "pass", "success": True}, {"reward": 1, "correct": "yes"}, {"reward": 0.5}]
)
def test_flags_that_agree(flags: Row):
    assert check(dialogue(**flags)) == {}


def test_long_rows():
    assert check(dialogue(), size=4_000) == {}
    assert "about 1001 tokens" in check(dialogue(), size=4_004)[Fault.TOO_LONG]


def simulation(**fields: Any) -> Row:
    flat = {"id": "c0", "name": "get_order", "arguments": {"order": "#W123"}, "requestor": "assistant"}
    theirs = {"id": "u0", "name": "check_app", "arguments": {}, "requestor": "user"}
    messages = [
        {"role": "assistant", "content": "Hi!"},
        {"role": "user", "content": "Where is #W123?"},
        {"role": "user", "content": None, "tool_calls": [theirs]},
        {"role": "tool", "id": "u0", "requestor": "user", "content": "on"},
        {"role": "assistant", "content": None, "tool_calls": [flat]},
        {"role": "tool", "id": "c0", "requestor": "assistant", "content": "{}"},
        {"role": "assistant", "content": "#W123 is on its way."},
    ]
    return {"id": "s1", "task_id": "1", "messages": messages, "reward_info": {"reward": 1.0}, **fields}


def test_simulations_are_read_in_the_agents_view():
    assert check(simulation(), section="simulations") == {}
    spoilt = simulation()
    del spoilt["messages"][5]
    assert set(check(spoilt, section="simulations")) == {Fault.TOOL_ORDER}
    assert Fault.BAD_ROW in check({"id": "s1"}, section="simulations")
    assert check(simulation()) == {}, "a line of simulations is known by its fields"


def test_a_sample_without_a_system_text():
    assert Sample(None, 1).system == ""  # pyright: ignore[reportArgumentType]
