"""Players that see the gold: they make demonstrations and prove tasks, and never count as an agent's score."""

from collections.abc import Callable, Mapping, Sequence

from veriloop.core.message import Message, ToolCall, Turn
from veriloop.domains.domain import Domain
from veriloop.domains.task import Request, SeatCall, Task
from veriloop.rollout.baseline import CLOSING
from veriloop.rollout.player import View
from veriloop.rollout.wording import is_told

HANDED_OVER = "You are being transferred to somebody who can help you with that."
_YES = ("yes", "go ahead", "that's right")


class Gold:
    """Makes the agent's gold calls one after the other, asking the user for theirs, and then tells the result."""

    name = "gold"

    def __init__(self, domain: Domain, tasks: Mapping[str, Task] | Callable[[str], Task]) -> None:
        self._domain = domain
        self._find = tasks if callable(tasks) else tasks.__getitem__

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Answer each view of the agent's seat."""
        return [self._answer(view, self._find(view.task_id)) for view in views]

    def _answer(self, view: View, task: Task) -> Message:
        step = next_step(task.gold, view.turns)
        if step is None and hands_over(self._domain, task):
            return Message(content=" ".join([HANDED_OVER, *task.told]))
        if step is None or self._owes_closing(view, task):
            return Message(content=" ".join([tell_result(self._domain, task), CLOSING]))
        return self._make(step)

    def _make(self, step: SeatCall) -> Message:
        if step.seat == "user":
            return Message(content=ask_step(self._domain, step.call))
        return Message(tool_calls=(step.call,))

    def _owes_closing(self, view: View, task: Task) -> bool:
        """Return whether a request was carried out and not closed while the user has another one waiting."""
        settled = count_closings(view.turns)
        return settled + 1 < len(task.user.requests) and self._count_writes(view.turns) > settled

    def _count_writes(self, turns: Sequence[Turn]) -> int:
        calls = [call for turn in turns if turn.seat == "agent" for call in turn.tool_calls]
        return sum(self._domain.tools[call.name].kind == "write" for call in calls)


class Oracle(Gold):
    """Like Gold, but it talks: asks for what it was not told, repeats each change and waits for the yes."""

    name = "oracle"

    def _answer(self, view: View, task: Task) -> Message:
        settled = count_closings(view.turns)
        requests = task.user.requests
        request = requests[min(settled, len(requests) - 1)] if requests else None
        said = " ".join(turn.spoken for turn in view.turns if turn.seat == "user")
        facts = (*task.user.identity, *(request.facts if request else ()))
        if missing := [fact.label for fact in facts if not is_told(fact, said)]:
            return Message(content=f"Could you tell me your {' and the '.join(missing)}?")
        step = next_step(task.gold, view.turns)
        if step is None and hands_over(self._domain, task):
            return Message(content=" ".join([HANDED_OVER, *task.told]))
        if step is None or self._owes_closing(view, task):
            refused = settled >= len(requests) - len(task.refused)
            if request and refused and (words := _find_unasked(request, view.turns)):
                return Message(content=f"{_ASK} {words}")
            tells = refused or settled + 1 >= len(requests)
            return Message(content=f"{tell_result(self._domain, task) if tells else 'That is done.'} {CLOSING}")
        is_write = step.seat == "agent" and self._domain.tools[step.call.name].kind == "write"
        if request and is_write and not self._confirmed(view.turns):
            return Message(content=f"You want to {request.topic} {self._repeat(request, step)} Shall I go ahead?")
        return self._make(step)

    def _confirmed(self, turns: Sequence[Turn]) -> bool:
        """Return whether the user said yes to the next change; no yes is good for two."""
        spoken = [place for place, turn in enumerate(turns) if turn.spoken]
        if len(spoken) < 2 or turns[spoken[-1]].seat != "user" or self._count_writes(turns[spoken[-1] :]):
            return False
        asked, answer = turns[spoken[-2]].spoken, turns[spoken[-1]].spoken.lower()
        return "Shall I go ahead?" in asked and any(word in answer for word in _YES)

    def _repeat(self, request: Request, step: SeatCall) -> str:
        """Return a change's facts, those that the user left out too, and what the policy wants said before it."""
        told = [fact.text for fact in request.facts]
        sources = self._domain.tools[step.call.name].sources
        found = [
            f"{sources[name].label} {value}"
            for name, value in step.call.arguments.items()
            if name in sources and sources[name].implied and sources[name].say is None and str(value) not in told
        ]
        said = [clause.say for clause in self._domain.clauses if clause.say and step.call.name in clause.tools]
        return " ".join([f"({', '.join([*told, *found])}).", *said])


def next_step(gold: Sequence[SeatCall], turns: Sequence[Turn]) -> SeatCall | None:
    """Return the first gold step not made yet; a user's step counts as made once the user spoke after being asked."""
    made = sum(len(turn.tool_calls) for turn in turns if turn.seat == "agent")
    asked = [position for position, turn in enumerate(turns) if turn.seat == "agent" and _is_ask(turn)]
    answered = sum(any(turn.seat == "user" for turn in turns[position + 1 :]) for position in asked)
    for step in gold:
        if step.seat == "agent":
            made -= 1
            if made < 0:
                return step
        else:
            answered -= 1
            if answered < 0:
                return step
    return None


def _find_unasked(request: Request, turns: Sequence[Turn]) -> str | None:
    """Return what would help and the user was not asked for yet; they will decline."""
    asked = [turn.spoken for turn in turns if turn.seat == "agent" and _is_ask(turn)]
    return next((words for words in request.declines.values() if f"{_ASK} {words}" not in asked), None)


def ask_step(domain: Domain, call: ToolCall) -> str:
    """Return the sentence that asks the user for a step of theirs."""
    tool = domain.tools[call.name]
    # What only the agent can know, such as the right setting, is said with the step.
    values = [str(call.arguments[name]) for name, source in tool.sources.items() if not source.told]
    chosen = f" ({', '.join(values)})" if values else ""
    return f"{_ASK} {tool.topics[0] if tool.topics else tool.description}{chosen}"


def tell_result(domain: Domain, task: Task) -> str:
    """Return what the user must hear at the end: values told, refusals with their rule, or that it is done."""
    if task.refused:
        rules = " ".join(clause.text for clause in domain.clauses if clause.id in task.refused)
        return " ".join(["I am sorry, but I cannot do that.", rules, *task.told])
    return " ".join(["That is done.", *task.told])


def hands_over(domain: Domain, task: Task) -> bool:
    """Return whether a task ends with the user going to somebody else."""
    return bool(task.gold) and domain.tools[task.gold[-1].call.name].is_handover


_ASK = "Before I can go on, please do this:"


def _is_ask(turn: Turn) -> bool:
    return turn.spoken.startswith(_ASK)


def count_closings(turns: Sequence[Turn]) -> int:
    """Return how many requests the agent has closed."""
    return sum(CLOSING in turn.spoken for turn in turns[1:] if turn.seat == "agent")
