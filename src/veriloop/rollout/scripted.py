"""A user that reads only its scenario and talks in varied plain sentences; every word it says is in its script."""

import random
import re
from collections.abc import Sequence
from typing import Any

from veriloop.core.base import derive_seed
from veriloop.core.message import Message, ToolCall, Turn
from veriloop.domains.source import Scope
from veriloop.domains.task import Fact, Request, UserScenario
from veriloop.domains.tool import Tool
from veriloop.rollout.player import View

STOP, TRANSFER = "###STOP###", "###TRANSFER###"
_SETTLED = re.compile(r"\b(anything|something) else\b|\bwhat else\b", re.IGNORECASE)
_CONFIRM = re.compile(
    r"(?<!what )(?<!how )\b(shall i|should i|may i|do you want me to|would you like me to)\b"
    r"|\b(go ahead|please confirm|do you confirm)\b"
    r"|\bis (that|this) (right|correct)\b|\(yes/no\)",
    re.IGNORECASE,
)
_TRANSFERRED = re.compile(r"\b(transferred|transferring)\b", re.IGNORECASE)
_WISHES = ("I want to {}.", "I'd like to {}.", "I need to {}.", "Can you help me {}?", "I would like to {}, please.")
_GREETINGS = ("Hello!", "Hi there.", "Good morning.", "Hi,")
_FACTS = ("The {label} is {text}.", "My {label}: {text}.", "{text} is the {label}.")
_YES = ("Yes.", "Yes, please.", "Yes, go ahead.", "Yes, that's right.")
_UNABLE = ("I'm not able to {}.", "Sorry, I am unable to {}.", "I can't {}, I'm afraid.")
_DONE = ("I have done that now.", "Done.", "OK, that's done.")
_BYE = ("No, that's all. Thank you!", "No, thanks.", "That was everything, thanks.", "No, bye!")
_WORDS = re.compile(r"[a-z]+")


class ScriptedUser:
    """Plays the user's seat from the scenario in the view alone; draws its wording from the episode's seed."""

    name = "scripted"

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Answer each view."""
        return [answer(view) for view in views]


def answer(view: View) -> Message:
    """Return what the script says next."""
    if view.scenario is None:
        raise ValueError(f"the scripted user sits in the user's seat only, not in {view.seat!r}")
    rng = random.Random(derive_seed("user", view.key, len(view.turns)))
    last = view.turns[-1]
    if last.seat == "user" and last.results:
        return _say(_report_step(last, view.tools, rng))
    heard = last.spoken
    settled = count_settled(view.turns)
    if _TRANSFERRED.search(heard):
        return _say(TRANSFER)
    if settled >= len(view.scenario.requests):
        return _say(f"{rng.choice(_BYE)} {STOP}")
    request = view.scenario.requests[settled]
    if not _opened(view.turns):
        return _say(_open(view.scenario, request, rng, first=settled == 0))
    return _respond(view, view.scenario, request, heard, rng)


def count_settled(turns: Sequence[Turn]) -> int:
    """Return how many requests the agent has closed by asking whether there is anything else."""
    return sum(bool(_SETTLED.search(turn.spoken)) for turn in turns[1:] if turn.seat == "agent")


def is_said(text: str, spoken: str) -> bool:
    """Return whether `text` occurs in `spoken` as whole words, whatever the case: "2 days" is not in "12 days"."""
    return bool(re.search(rf"(?<!\w){re.escape(text.lower())}(?!\w)", spoken.lower()))


def _opened(turns: Sequence[Turn]) -> bool:
    """Return whether the user has spoken since the agent greeted or closed a request."""
    for turn in reversed(turns):
        if turn.seat == "user" and turn.spoken:
            return True
        if turn.seat == "agent" and (_SETTLED.search(turn.spoken) or turn is turns[0]):
            return False
    return False


def _open(scenario: UserScenario, request: Request, rng: random.Random, *, first: bool) -> str:
    parts = [rng.choice(_GREETINGS)] if first and "polite" in scenario.persona else []
    parts.append(rng.choice(_WISHES).format(request.topic))
    if "open" in scenario.persona:
        parts += [_tell(fact, rng) for fact in (*request.facts, *(scenario.identity if first else ()))]
    elif "polite" in scenario.persona:
        parts += [_tell(fact, rng) for fact in request.facts]
    elif "hurry" in scenario.persona:
        parts += [_tell(fact, rng) for fact in request.facts[:1]]
    return " ".join(parts)


def _respond(view: View, scenario: UserScenario, request: Request, heard: str, rng: random.Random) -> Message:
    if step := _find_step(view, scenario, request, heard, rng):
        return step
    if _CONFIRM.search(heard):
        missing = [fact for fact in request.facts if not is_said(fact.text, heard)]
        if missing and not _corrected(view.turns):
            return _say(" ".join(["No.", *(f"The {fact.label} is {fact.text}." for fact in missing)]))
        return _say(rng.choice(_YES))
    asked = [fact for fact in (*scenario.identity, *request.facts) if fact.label.lower() in heard.lower()]
    if asked:
        return _say(" ".join(_tell(fact, rng) for fact in asked))
    everything = (*scenario.identity, *request.facts)
    return _say(" ".join([rng.choice(_WISHES).format(request.topic), *(_tell(fact, rng) for fact in everything)]))


def _corrected(turns: Sequence[Turn]) -> bool:
    said = [turn.spoken for turn in turns if turn.seat == "user" and turn.spoken]
    return bool(said) and said[-1].startswith("No.")


def _find_step(view: View, scenario: UserScenario, request: Request, heard: str, rng: random.Random) -> Message | None:
    """Return the user's own tool call that the agent asks for, when the script holds its arguments, or why not."""
    known = {fact.kind: fact.value for fact in (*scenario.identity, *request.facts)}
    own = [turn for turn in _since_settled(view.turns) if turn.seat == "user"]
    made = [pair for turn in own for pair in zip(turn.tool_calls, turn.results, strict=True)]
    writes = {tool.name for tool in view.tools if tool.kind == "write"}
    # A step may be due once more after another one: a second restart, but not a switch flipped back at once.
    done = [(call.name, call.arguments) for call, result in made if call.name in writes and not result.error][-1:]
    for tool in view.tools:
        if not asks_for(tool, heard):
            continue
        arguments = _fill_in(tool, known, heard)
        if tool.kind == "write" and (tool.name, arguments) in done:
            return _say("I have done that already.")
        if words := request.declines.get(tool.name):
            return _say(rng.choice(_UNABLE).format(words))
        if arguments is not None:
            return Message(tool_calls=(ToolCall(id=f"user_{len(view.turns)}", name=tool.name, arguments=arguments),))
    return None


def _fill_in(tool: Tool, known: dict[str, Any], heard: str) -> dict[str, Any] | None:
    """Return a step's arguments: what the script holds, and of what it does not the choice that the agent names."""
    arguments = dict[str, Any]()
    for name, source in tool.sources.items():
        offered = source.candidates(Scope(None, {})) if source.values and not source.told else []
        named = [value for value in offered if is_said(str(value), heard)]
        if source.kind not in known and not named:
            return None
        arguments[name] = known[source.kind] if source.kind in known else named[0]
    return arguments


def asks_for(tool: Tool, heard: str) -> bool:
    """Return whether a sentence asks for what a user's tool does: three of four of a topic's longer words are there."""
    words = set(_WORDS.findall(heard.lower()))
    for topic in tool.topics:
        wanted = {word for word in _WORDS.findall(topic.lower()) if len(word) > 3}
        if wanted and len(wanted & words) >= 0.75 * len(wanted):
            return True
    return False


def _since_settled(turns: Sequence[Turn]) -> list[Turn]:
    start = max((i for i, t in enumerate(turns) if t.seat == "agent" and _SETTLED.search(t.spoken)), default=0)
    return list(turns[start:])


def _report_step(turn: Turn, tools: Sequence[Tool], rng: random.Random) -> str:
    failed = next((result.content for result in turn.results if result.error), None)
    reads = {tool.name for tool in tools if tool.kind == "read"}
    shown = [r.content for call, r in zip(turn.tool_calls, turn.results, strict=True) if call.name in reads]
    if shown and not failed:
        return f"It says: {' '.join(shown)}"
    return f"That did not work: {failed}" if failed else rng.choice(_DONE)


def _tell(fact: Fact, rng: random.Random) -> str:
    return rng.choice(_FACTS).format(label=fact.label, text=fact.text)


def _say(text: str) -> Message:
    return Message(content=text)
