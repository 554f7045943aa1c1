"""Runs checkers in pydantic-monty workers, apart from this process, with limits on time, memory and depth."""

import atexit
import functools
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from veriloop.check.compile import Case
from veriloop.core.trace import StopReason, Trace
from veriloop.core.verdict import Outcome, Verdict
from veriloop.domains.task import Task

LIMITS: Any = {"max_turn_duration_secs": 1.0, "max_memory": 50_000_000, "max_recursion_depth": 200}
_LOST = (StopReason.MAX_TURNS, StopReason.MAX_ERRORS, StopReason.MALFORMED, StopReason.TOO_LONG)


class Sandbox:
    """One worker pool; a session per checker is kept while consecutive cases are of the same checker."""

    def __init__(self) -> None:
        # Loaded here so that commands which check nothing do not pay for it.
        import pydantic_monty

        self._errors: tuple[type[Exception], ...] = (pydantic_monty.MontyError, RuntimeError, OSError)
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
        return [self._run_one(source, case) for case in cases]

    def _run_one(self, source: str, case: Case) -> Verdict:
        changes, calls, messages = case
        try:
            session = self._enter(source)
            inputs = {"changes": changes, "calls": calls, "messages": messages}
            answer = session.feed_run("check(changes, calls, messages)", inputs=inputs)
        except self._errors as error:
            self._drop_session()
            return Verdict(outcome=Outcome.ERROR, reason=f"{type(error).__name__}: {error}")
        return _read_answer(answer)

    def _enter(self, source: str) -> Any:
        if self._session is None or source != self._source:
            self._drop_session()
            stack = ExitStack()
            session = stack.enter_context(self._pool.checkout(limits=LIMITS))
            self._session, self._source = (stack, session), source
            session.feed_run(source)
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

    A dialogue that a limit or a malformed message ended fails whatever its state; a void one is an ERROR, for it says
    nothing about the agent.
    """
    if trace.void:
        return Verdict(outcome=Outcome.ERROR, reason=f"void: {trace.error}")
    if trace.stop in _LOST:
        return Verdict(outcome=Outcome.FAIL, reason=f"stopped by {trace.stop.value}: {trace.error or 'limit reached'}")
    return shared_sandbox().run(task.checker, [trace_case(trace)])[0]


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
    if not isinstance(answer, dict) or not isinstance(answer.get("passed"), bool):
        return Verdict(outcome=Outcome.ERROR, reason=f"check() returned {answer!r}, not {{'passed', 'reason'}}")
    outcome = Outcome.PASS if answer["passed"] else Outcome.FAIL
    return Verdict(outcome=outcome, reason=str(answer.get("reason", "")))
