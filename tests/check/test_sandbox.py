"""The sandbox: a checker that breaks is an error of the checker, and the next one runs all the same."""

import functools

import pytest

from veriloop.check.allow import validate_checker
from veriloop.check.sandbox import LONGEST_MESSAGE, LONGEST_REASON, LONGEST_SPEECH, Sandbox, judge, trace_case
from veriloop.core.message import Change, ToolCall, ToolResult, Turn
from veriloop.core.trace import StopReason, Trace
from veriloop.core.verdict import Outcome

PASS = "def check(changes, calls, messages):\n    return {'passed': True, 'reason': 'fine'}\n"
FAIL = "def check(changes, calls, messages):\n    return {'passed': False, 'reason': str(len(calls))}\n"
EMPTY = ([], [], [])


@pytest.fixture(scope="module")
def sandbox():
    made = Sandbox()
    yield made
    made.close()


def nest(inner, _):
    return [inner]


def body(text):
    return f"def check(changes, calls, messages):\n    {text}\n"


def test_verdicts_carry_their_reason(sandbox):
    passed, failed = sandbox.run(PASS, [EMPTY])[0], sandbox.run(FAIL, [([], [{}, {}], [])])[0]
    assert (passed.outcome, passed.reason) == (Outcome.PASS, "fine")
    assert (failed.outcome, failed.reason) == (Outcome.FAIL, "2")


@pytest.mark.parametrize(
    "text",
    [
        "while True: pass",
        "return [0] * 10**10",
        "return check(changes, calls, messages)",
        "return 1 / 0",
        "return changes[5]",
        "raise ValueError('no')",
        "return open('/etc/passwd').read()",
        "import socket; return socket.socket()",
        "return True",
        "return None",
        "return {'passed': 'yes', 'reason': ''}",
        "return {'reason': 'no verdict'}",
        "return undefined",
    ],
)
def test_what_breaks_is_an_error_and_the_next_check_works(sandbox, text):
    broken = sandbox.run(body(text), [EMPTY])[0]
    assert broken.outcome is Outcome.ERROR
    assert broken.reason
    assert sandbox.run(PASS, [EMPTY])[0].passed


def test_source_that_does_not_parse_is_an_error(sandbox):
    assert sandbox.run("def check(", [EMPTY])[0].outcome is Outcome.ERROR


def test_one_broken_case_does_not_spoil_the_others(sandbox):
    source = body("return {'passed': 1 // len(calls) >= 0, 'reason': ''}")
    outcomes = [verdict.outcome for verdict in sandbox.run(source, [([], [1], []), EMPTY, ([], [1], [])])]
    assert outcomes == [Outcome.PASS, Outcome.ERROR, Outcome.PASS]


def test_checkers_keep_nothing_from_one_case_to_the_next(sandbox):
    source = "SEEN = []\n" + body("return {'passed': len(calls) == 0, 'reason': str(len(SEEN))}")
    reasons = {verdict.reason for verdict in sandbox.run(source, [EMPTY] * 3)}
    assert reasons == {"0"}


def test_a_killed_worker_is_replaced(sandbox):
    import os
    import signal

    sandbox.run(PASS, [EMPTY])
    os.kill(sandbox._session[1].worker_pid, signal.SIGKILL)
    assert sandbox.run(PASS, [EMPTY])[0].outcome in (Outcome.ERROR, Outcome.PASS)
    assert sandbox.run(PASS, [EMPTY])[0].passed


APPENDS = "KEPT = []\n" + body(
    "kept = KEPT\n    kept.append(1)\n    return {'passed': len(messages) == 1, 'reason': ''}"
)


@pytest.mark.parametrize(
    "value", [float("nan"), 10**30, (1, [2]), {"a": {"b": None}}, functools.reduce(nest, "x" * 900)]
)
def test_values_that_change_on_the_way_are_no_fault_of_the_checker(sandbox, value):
    assert validate_checker(APPENDS) is False
    assert [found.outcome for found in sandbox.run(APPENDS, [([], [], [value]), EMPTY])] == [Outcome.PASS, Outcome.FAIL]


def test_cases_are_given_as_they_were_though_a_checker_writes_on_them(sandbox):
    changes = [{"table": "t", "key": "k", "before": None, "after": {"a": 1}}]
    found = sandbox.run(
        body("changes[0]['after']['a'] = 2\n    return {'passed': True, 'reason': ''}"), [(changes, [], [])]
    )
    assert found[0].reason == "check() changes what it is given"
    assert changes[0]["after"] == {"a": 1}


def test_a_checker_that_is_not_allowed_is_refused_unrun(sandbox, monkeypatch):
    monkeypatch.setattr(sandbox, "_enter", lambda source: pytest.fail("it ran"))
    found = sandbox.run(body("import math"), [EMPTY, EMPTY])
    assert [(verdict.outcome, verdict.reason) for verdict in found] == [
        (Outcome.ERROR, "checker line 2: Import is not allowed")
    ] * 2


def test_a_reason_is_taken_up_to_its_limit(sandbox):
    found = sandbox.run(body("return {'passed': True, 'reason': 'x' * " + str(LONGEST_REASON) + "}"), [EMPTY])[0]
    assert (found.passed, len(found.reason)) == (True, LONGEST_REASON)


def make_trace(task, stop=StopReason.USER_STOP, error=None):
    call = ToolCall(id="1", name="get_parcel", arguments={"tracking": "VP1"})
    turns = (
        Turn(seat="agent", content="Hi!"),
        Turn(seat="user", content="help"),
        Turn(seat="agent", content="aside", tool_calls=(call,), results=(ToolResult(call_id="1", content="{}"),)),
        Turn(seat="agent", content="Done."),
    )
    return Trace(
        domain="parcel", task_id=task.id, players={}, seed=0, turns=turns, stop=stop, digest="d", error=error,
        changes=(Change(table="t", key="k", before=None, after={"a": 1}),),
    )  # fmt: skip


def test_a_dialogue_becomes_three_plain_lists(tasks):
    changes, calls, messages = trace_case(make_trace(tasks[0]))
    assert changes == [{"table": "t", "key": "k", "before": None, "after": {"a": 1}}]
    assert calls == [{"seat": "agent", "name": "get_parcel", "arguments": {"tracking": "VP1"}, "error": False}]
    assert [(message["content"], message["calls"]) for message in messages] == [("Hi!", 0), ("help", 0), ("Done.", 1)]


@pytest.mark.parametrize(
    "stop", [StopReason.MAX_TURNS, StopReason.MAX_ERRORS, StopReason.MALFORMED, StopReason.TOO_LONG]
)
def test_a_dialogue_cut_by_a_limit_fails_whatever_its_state(tasks, stop):
    task = tasks[0].model_copy(update={"checker": PASS})
    found = judge(task, make_trace(task, stop))
    assert found.outcome is Outcome.FAIL
    assert stop.value in found.reason


def test_a_void_dialogue_says_nothing_about_the_agent(tasks):
    task = tasks[0].model_copy(update={"checker": PASS})
    found = judge(task, make_trace(task, StopReason.PLAYER_ERROR, "endpoint down"))
    assert found.outcome is Outcome.ERROR
    assert "endpoint down" in found.reason


def test_a_finished_dialogue_is_the_checkers_matter(tasks):
    task = tasks[0].model_copy(update={"checker": PASS})
    assert judge(task, make_trace(task)).passed
    assert judge(task, make_trace(task, StopReason.TRANSFER)).passed


def test_half_a_character_spares_nobody_the_verdict(tasks):
    task = tasks[0].model_copy(update={"checker": body("return {'passed': False, 'reason': messages[0]['content']}")})
    idle = make_trace(task)
    broken = idle.turns[0].model_copy(update={"content": "Done \ud800"})
    odd = ToolCall(id="x", name="nothing", arguments={"\udfff": ["\ud800", 1, None]})
    result = ToolResult(call_id="x", content="Error", error=True)
    turns = (broken, Turn(seat="agent", tool_calls=(odd,), results=(result,)))
    found = judge(task, idle.model_copy(update={"turns": turns}))
    assert (found.outcome, found.reason) == (Outcome.FAIL, "Done ?")


SLOW = body(
    "said = messages[-1]['content']\n    found = [one for one in said for other in said if one == other]\n"
    "    return {'passed': 'done' in said, 'reason': str(len(said)) + ' ' + calls[-1]['name']}"
)
LOOPS = [". ", "a", "I am sorry, I cannot do that for you. ", "…?! '"]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("end", ["", "done"])
def test_the_same_said_without_end_spares_nobody_the_verdict(tasks, loop, end):
    task = tasks[0].model_copy(update={"checker": SLOW})
    trace = make_trace(task).model_copy(update={"turns": make_trace(task).turns[:3]})
    found = judge(task, say_more(trace, content=loop * (9_000 // len(loop)) + end))
    assert (found.outcome, found.reason) == (
        Outcome.PASS if end else Outcome.FAIL, f"{3 * len(loop) + len(end)} get_parcel"
    )  # fmt: skip


def test_what_is_said_often_but_not_without_end_is_judged_as_it_is(tasks):
    task = tasks[0].model_copy(update={"checker": body("return {'passed': True, 'reason': messages[-1]['content']}")})
    said = "x" * 5_000
    assert judge(task, say_more(make_trace(task), content=said)).reason == said, "what can be judged is not touched"


SAID = [
    ({"content": "x" * 10_000_000}, "a message of 10000000 characters"),
    ({"content": "x" * (LONGEST_MESSAGE + 1)}, f"a message of {LONGEST_MESSAGE + 1} characters"),
    ({"arguments": {"note": "x" * 10_000_000}}, "a call of note of 10000004 characters"),
    ({"arguments": {"x" * LONGEST_MESSAGE: 1}}, f"a call of note of {LONGEST_MESSAGE + 1} characters"),
    ({"arguments": {"a": [{"b": ("x" * LONGEST_MESSAGE)}]}}, "a call of note"),
    ({"arguments": {"a": [1] * LONGEST_MESSAGE}}, "a call of note"),
]


def say_more(trace, seat="agent", content="", arguments=None):
    call = ToolCall(id="x", name="note", arguments=arguments or {})
    called = {"tool_calls": (call,), "results": (ToolResult(call_id="x", content="{}"),)} if arguments else {}
    return trace.model_copy(update={"turns": (*trace.turns, Turn(seat=seat, content=content, **called))})


@pytest.mark.parametrize(("said", "reason"), SAID, ids=[reason for _, reason in SAID])
def test_an_agent_that_says_more_than_is_judged_fails_unrun(tasks, said, reason, monkeypatch):
    monkeypatch.setattr("veriloop.check.sandbox.shared_sandbox", lambda: pytest.fail("it ran"))
    task = tasks[0].model_copy(update={"checker": PASS})
    found = judge(task, say_more(make_trace(task), **said))
    assert found.outcome is Outcome.FAIL
    assert reason in found.reason and "turn 4" in found.reason and str(LONGEST_MESSAGE) in found.reason


def test_what_is_long_but_not_too_long_is_judged(tasks):
    task = tasks[0].model_copy(update={"checker": PASS})
    trace = say_more(make_trace(task), content="x" * LONGEST_MESSAGE)
    assert judge(task, say_more(trace, arguments={"note": "x" * (LONGEST_MESSAGE - 4)})).passed
    for _ in range(LONGEST_SPEECH // LONGEST_MESSAGE):
        trace = say_more(trace, content="x" * LONGEST_MESSAGE)
    found = judge(task, trace)
    assert found.outcome is Outcome.FAIL
    assert f"characters in all, more than the {LONGEST_SPEECH}" in found.reason


def test_what_the_user_says_is_not_the_agents_doing(tasks):
    task = tasks[0].model_copy(update={"checker": PASS})
    assert judge(task, say_more(make_trace(task), seat="user", content="x" * (LONGEST_MESSAGE + 1))).passed
    void = say_more(make_trace(task, StopReason.PLAYER_ERROR, "endpoint down"), content="x" * (LONGEST_MESSAGE + 1))
    assert judge(task, void).outcome is Outcome.ERROR, "a void dialogue says nothing"
