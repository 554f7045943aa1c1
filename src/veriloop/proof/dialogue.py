"""A task's right dialogue in plain words, of which mutants and alternatives are made, and how any of them is played."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from veriloop.core.message import Seat, ToolCall, Turn
from veriloop.core.trace import StopReason, Trace
from veriloop.domains.domain import Domain
from veriloop.domains.task import SeatCall, Task
from veriloop.proof.replay import closing_words

GREETING = "Hello! What can I do for you?"
YES = "Yes, please go ahead."
BYE = "Thank you, that is all. ###STOP###"


@dataclass(frozen=True, slots=True)
class Line:
    """What a seat says, or calls; text beside calls is heard by nobody."""

    seat: Seat
    text: str = ""
    calls: tuple[ToolCall, ...] = ()


Lines = tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A dialogue in pieces. steps: the lines that belong to each gold call, in its order, the call's own line last."""

    opening: Lines
    steps: tuple[Lines, ...]
    closing: Lines

    def lines(self) -> Lines:
        """Return all lines."""
        return (*self.opening, *(line for step in self.steps for line in step), *self.closing)

    def keep(self, positions: Sequence[int]) -> "Dialogue":
        """Return it with the steps at some positions, in the order given."""
        return replace(self, steps=tuple(self.steps[position] for position in positions))

    def drop(self, *positions: int) -> "Dialogue":
        """Return it without some steps."""
        return self.keep([position for position in range(len(self.steps)) if position not in positions])

    def put(self, position: int, *lines: Line) -> "Dialogue":
        """Return it with other lines for one step."""
        return replace(self, steps=(*self.steps[:position], lines, *self.steps[position + 1 :]))

    def recall(self, position: int, call: ToolCall) -> "Dialogue":
        """Return it with another call in a step whose words stay."""
        *words, last = self.steps[position]
        return self.put(position, *words, replace(last, calls=(call,)))

    def add(self, *lines: Line) -> "Dialogue":
        """Return it with lines after the last step."""
        return replace(self, steps=(*self.steps, lines))

    def close(self, *texts: str) -> "Dialogue":
        """Return it with other last words of the agent's."""
        return replace(self, closing=(*(Line("agent", text) for text in texts), Line("user", BYE)))


def write_dialogue(domain: Domain, task: Task) -> Dialogue:
    """Return the right dialogue: the user says all they know, the agent makes the gold calls, each change confirmed."""
    opening = (Line("agent", GREETING), Line("user", " ".join(_tell_all(task))))
    steps = tuple(tuple(_write_step(domain, step)) for step in task.gold)
    return Dialogue(opening, steps, ()).close(" ".join(closing_words(task)))


def _tell_all(task: Task) -> Iterator[str]:
    yield from (f"My {fact.label} is {fact.text}." for fact in task.user.identity)
    for request in task.user.requests:
        yield f"I want to {request.topic}."
        yield from (f"The {fact.label} is {fact.text}." for fact in request.facts)


def _write_step(domain: Domain, step: SeatCall) -> Iterator[Line]:
    tool = domain.tools[step.call.name]
    if step.seat == "user":
        yield Line("agent", f"Could you please {tool.topics[0] if tool.topics else tool.description}?")
        yield Line("user", calls=(step.call,))
        return
    if tool.kind == "write":
        yield Line("agent", ask_for_yes(domain, step.call))
        yield Line("user", YES)
    yield Line("agent", calls=(step.call,))


def ask_for_yes(domain: Domain, call: ToolCall) -> str:
    """Return the sentences in which an agent says what it is about to change and asks for the yes."""
    said = [clause.say for clause in domain.clauses if clause.say and call.name in clause.tools]
    details = ", ".join(f"{name} {value}" for name, value in call.arguments.items())
    return " ".join([f"I am about to {call.name.replace('_', ' ')} ({details}).", *said, "Shall I?"])


def describe(lines: Sequence[Line], right: Sequence[Line]) -> str:
    """Return in what a dialogue differs from the right one: in calls, else in what the agent says."""
    made, wanted = list(_show_calls(lines)), list(_show_calls(right))
    parts = [f"it makes {call}" for call in made if call not in wanted]
    parts += [f"it leaves out {call}" for call in wanted if call not in made]
    said = {line.text for line in right}
    parts += [f"the agent says {line.text!r}" for line in lines if line.seat == "agent" and line.text not in said]
    return "; ".join(parts[:3]) or "the same calls and words, in another order or number"


def _show_calls(lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        for call in line.calls:
            yield f"{line.seat} {call.name}({', '.join(f'{name}={value!r}' for name, value in call.arguments.items())})"


def perform(domain: Domain, task: Task, lines: Sequence[Line]) -> Trace:
    """Make a dialogue's calls on a fresh session of the task and return it as a trace."""
    session, turns = domain.open(task.initial), list[Turn]()
    for line in lines:
        results = tuple(session.call(line.seat, call) for call in line.calls)
        turns.append(Turn(seat=line.seat, content=line.text, tool_calls=line.calls, results=results))
    return Trace(
        domain=domain.name,
        task_id=task.id,
        players={"agent": "proof", "user": "proof"},
        seed=0,
        turns=tuple(turns),
        changes=session.changes(),
        digest=session.digest(),
        stop=StopReason.USER_STOP,
    )
