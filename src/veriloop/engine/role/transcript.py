"""A dialogue and a task as text that a model can read."""

from collections.abc import Iterator

from veriloop.core.base import canonical_json
from veriloop.core.message import ToolCall
from veriloop.core.trace import Trace
from veriloop.domains.task import Task


def write_transcript(trace: Trace) -> str:
    """Return a dialogue line by line, tool calls of both seats with what they returned."""
    return "\n".join(_lines(trace))


def write_gold(task: Task) -> str:
    """Return the right way through a task, a call per line."""
    return "\n".join(f"{step.seat}: {_write_call(step.call)}" for step in task.gold)


def _lines(trace: Trace) -> Iterator[str]:
    for turn in trace.turns:
        if turn.spoken:
            yield f"{turn.seat}: {turn.spoken}"
        for call, result in zip(turn.tool_calls, turn.results, strict=True):
            yield f"{turn.seat} calls {_write_call(call)}"
            yield f"  -> {result.content}"
    yield f"(ended: {trace.stop.value})"


def _write_call(call: ToolCall) -> str:
    return f"{call.name}({canonical_json(call.arguments)})"
