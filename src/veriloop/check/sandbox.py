"""Runs checkers in pydantic-monty workers, apart from this process, with limits on time, memory, depth and output.

There are two walls. What is not of the allowed subset is refused unrun (`check.allow`); what runs finds no file, no
network, no clock and no chance. Nothing is kept from one case to the next: a checker that could keep something runs in
a new session for every case, is asked twice, and has what it was given compared with what was left of it.
"""

import atexit
import functools
import re
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from veriloop.check.allow import CheckerError, validate_checker
from veriloop.check.compile import Case
from veriloop.core.trace import StopReason, Trace
from veriloop.core.verdict import Outcome, Verdict
from veriloop.domains.task import Task

LIMITS: Any = {
    "max_feed_duration_secs": 1.0,
    "max_memory": 50_000_000,
    "max_recursion_depth": 200,
    "max_suspensions": 10,
}
"""For one case. A worker that is a second late, busy inside a single operation, is killed."""
LONGEST_REASON = 20_000
"""Characters of a verdict's reason."""
LONGEST_MESSAGE, LONGEST_SPEECH = 10_000, 100_000
"""Characters of one message of the agent, or of one call's arguments, and of all of these in a dialogue."""
LONGEST_OUTPUT = 10_000
"""Bytes that a checker may print; nobody reads them."""
POLICY: Any = {"datetime": "call_host", "sleep": "call_host", "random_start": "call_host"}
"""Clock and chance are asked of the host, which answers nobody."""
_CHECK, _GIVEN = "check(changes, calls, messages)", "changes, calls, messages"
_LOOP = re.compile(r"(.{1,80}?)\1{49,}", re.DOTALL)
"""The same 50 times without a break, which says no more than three times."""
_LOST = (StopReason.MAX_TURNS, StopReason.MAX_ERRORS, StopReason.MALFORMED, StopReason.TOO_LONG)


class Sandbox:
    """One worker pool, for one thread; consecutive cases of a checker that can keep nothing share a session."""

    def __init__(self) -> None:
        # Loaded here so that commands which check nothing do not pay for it.
        import pydantic_monty

        self._errors: tuple[type[Exception], ...] = (pydantic_monty.MontyError, RuntimeError, OSError, ValueError)
        self._sink = functools.partial(pydantic_monty.CollectString, max_bytes=LONGEST_OUTPUT)
        self._stack = ExitStack()
        self._pool = self._stack.enter_context(pydantic_monty.Monty())
        self._session: Any = None
        self._source = ""

    def close(self) -> None:
        """Return the worker and end the pool."""
        self._drop_session()
        self._stack.close()

    def run(self, source: str, cases: Sequence[Case]) -> list[Verdict]:
        """Return the checker's verdict on each case; whatever breaks in it is an ERROR verdict."""
        try:
            keeps_nothing = validate_checker(source)
        except CheckerError as error:
            return [_fail(str(error))] * len(cases)
        return [self._run_one(source, case, keeps_nothing) for case in cases]

    def _run_one(self, source: str, case: Case, keeps_nothing: bool) -> Verdict:
        changes, calls, messages = case
        inputs = {"changes": changes, "calls": calls, "messages": messages}
        try:
            session = self._enter(source)
            if keeps_nothing:
                return _read_answer(session.feed_run(_CHECK, inputs=inputs, print_callback=self._sink()))
            verdict = self._watch(session, inputs)
        except self._errors as error:
            verdict = _fail(f"{type(error).__name__}: {error}")
        self._drop_session()
        return verdict

    def _watch(self, session: Any, inputs: dict[str, Any]) -> Verdict:
        """Return the verdict of a checker that could change things, unless it does."""
        asked = f"[{_CHECK}, {_CHECK}, {_GIVEN}]"
        first, second, *left = session.feed_run(asked, inputs=inputs, print_callback=self._sink())
        # On the way there and back, what is nested too deeply is cut off; and no NaN equals itself.
        if left != [*inputs.values()] and repr(left) != repr(session.feed_run(f"[{_GIVEN}]", inputs=inputs)):
            return _fail("check() changes what it is given")
        found, again = _read_answer(first), _read_answer(second)
        return found if found == again else _fail("check() says something else about the same dialogue the second time")

    def _enter(self, source: str) -> Any:
        if self._session is None or source != self._source:
            self._drop_session()
            stack = ExitStack()
            session = stack.enter_context(self._pool.checkout(limits=LIMITS, os_policy=POLICY))
            self._session, self._source = (stack, session), source
            session.feed_run(source, print_callback=self._sink())
        return self._session[1]

    def _drop_session(self) -> None:
        held, self._session, self._source = self._session, None, ""
        if held is not None:
            try:
                held[0].close()
            except self._errors:
                # The worker is gone already; the pool replaces it.
                return


@functools.lru_cache(maxsize=1)
def shared_sandbox() -> Sandbox:
    """Return this process's sandbox, started on first use and ended with the process."""
    sandbox = Sandbox()
    atexit.register(sandbox.close)
    return sandbox


def judge(task: Task, trace: Trace) -> Verdict:
    """Return the checker's verdict on a dialogue.

    A dialogue that a limit or a malformed message ended fails whatever its state, and so does one in which the agent
    says more than can be judged; a void one is an ERROR, for it says nothing about the agent.
    """
    if trace.void:
        return Verdict(outcome=Outcome.ERROR, reason=f"void: {trace.error}")
    if trace.stop in _LOST:
        return Verdict(outcome=Outcome.FAIL, reason=f"stopped by {trace.stop.value}: {trace.error or 'limit reached'}")
    if excess := find_excess(trace):
        return Verdict(outcome=Outcome.FAIL, reason=excess)
    case = trace_case(trace)
    verdict = shared_sandbox().run(task.checker, [case])[0]
    if verdict.outcome is Outcome.ERROR and (mended := _mend_case(case)) != case:
        # Half a character, which JSON lets pass, or the same said without end, over which a checker runs out of time,
        # is the agent's doing and must not spare it the verdict.
        return shared_sandbox().run(task.checker, [mended])[0]
    return verdict


def _mend_case(case: Case) -> Case:
    """Return a dialogue without half characters, and its messages without loops."""
    changes, calls, messages = _mend_text(case)
    return changes, calls, [{**message, "content": _LOOP.sub(r"\1\1\1", message["content"])} for message in messages]


def find_excess(trace: Trace) -> str:
    """Return in which message or call the agent says more than is judged, empty where it does not."""
    total = 0
    for place, turn in enumerate(trace.turns):
        if turn.seat != "agent":
            continue
        told = [
            ("a message", len(turn.spoken)),
            *((f"a call of {c.name}", _measure(c.arguments)) for c in turn.tool_calls),
        ]
        for what, size in told:
            total += size
            if size > LONGEST_MESSAGE:
                return f"turn {place} has {what} of {size} characters, more than the {LONGEST_MESSAGE} that are judged"
    too_much = f"the agent says {total} characters in all, more than the {LONGEST_SPEECH} that are judged"
    return too_much if total > LONGEST_SPEECH else ""


def _measure(value: Any) -> int:
    """Return the characters of all texts in plain data, however deep."""
    size, left = 0, [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            size += len(item)
        elif isinstance(item, dict):
            left += [*item, *item.values()]
        elif isinstance(item, list | tuple):
            left += item
        else:
            size += 1
    return size


def _mend_text(value: Any) -> Any:
    """Return plain data with lone surrogates in its texts replaced by question marks."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_mend_text(key): _mend_text(item) for key, item in value.items()}
    return type(value)(map(_mend_text, value)) if isinstance(value, list | tuple) else value


def trace_case(trace: Trace) -> Case:
    """Return a dialogue as a checker's arguments."""
    calls: list[dict[str, Any]] = []
    messages: list[dict[str, Any]] = []
    for turn in trace.turns:
        for call, result in zip(turn.tool_calls, turn.results, strict=True):
            calls.append({"seat": turn.seat, "name": call.name, "arguments": call.arguments, "error": result.error})
        if turn.spoken:
            messages.append({"seat": turn.seat, "content": turn.spoken, "calls": len(calls)})
    return [change.model_dump(mode="json") for change in trace.changes], calls, messages


def _read_answer(answer: Any) -> Verdict:
    # Nothing of an answer is written out before its form is known: it may be as deep and as large as memory allows.
    if type(answer) is not dict or set(answer) != {"passed", "reason"}:
        return _fail(f"check() returned {_name(answer)}, not {{'passed': bool, 'reason': str}}")
    passed, reason = answer["passed"], answer["reason"]
    if type(passed) is not bool or type(reason) is not str:
        return _fail(f"check() returned {_name(passed)} as 'passed' and {_name(reason)} as 'reason', not bool and str")
    if len(reason) > LONGEST_REASON:
        return _fail(f"check() gives a reason of {len(reason)} characters, at most {LONGEST_REASON} are allowed")
    return Verdict(outcome=Outcome.PASS if passed else Outcome.FAIL, reason=reason)


def _fail(reason: str) -> Verdict:
    return Verdict(outcome=Outcome.ERROR, reason=reason[:LONGEST_REASON])


def _name(value: Any) -> str:
    return "a dict with other keys" if isinstance(value, dict) else type(value).__name__
