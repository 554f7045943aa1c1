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
from veriloop.rollout.first_person import speak
from veriloop.rollout.player import View
from veriloop.rollout.wording import answer_with, is_said, is_told, tell

STOP, TRANSFER = "###STOP###", "###TRANSFER###"
_SETTLED = re.compile(r"\b(anything|something) else\b|\bwhat else\b", re.IGNORECASE)
_CONFIRM = re.compile(
    r"(?<!what )(?<!how )\b(shall i|should i|may i|do you want me to|would you like me to)\b"
    r"|\b(go ahead|please confirm|do you confirm)\b"
    r"|\bis (that|this) (right|correct)\b|\(yes/no\)",
    re.IGNORECASE,
)
_TRANSFERRED = re.compile(r"\b(transferred|transferring)\b", re.IGNORECASE)
_REFUSED = re.compile(r"\b(cannot|can't|can not|unable|not able|not possible|not allowed)\b", re.IGNORECASE)
_ASKS = re.compile(r"\?|\b(please (tell|give)|let me know|i need|i would need)\b", re.IGNORECASE)
_ASKS_WISH = re.compile(r"\b(how can i|how may i|what (can|may|would|do|should|shall)|which of)\b", re.IGNORECASE)
_WISHES = (
    "I want to {}.",
    "I'd like to {}.",
    "I need to {}.",
    "Can you help me {}?",
    "I would like to {}, please.",
    "I was hoping to {}.",
    "Could you help me {}?",
    "I'm trying to {}.",
    "I am here to {}.",
    "Is it possible to {}?",
    "I have to {}.",
    "My aim is to {}.",
)
_GREETINGS = (
    "Hello!",
    "Hi there.",
    "Good morning.",
    "Good evening.",
    "Hello, nice to meet you.",
    "Hi, thanks for taking this.",
)
_YES = (
    "Yes.",
    "Yes, please.",
    "Yes, go ahead.",
    "Yes, that's right.",
    "Yes, exactly.",
    "Yes, please do.",
    "Yes, that is what I want.",
    "Yes, sure, go ahead.",
    "Yes, all of that is correct.",
)
_NO = ("No.", "No, not quite.", "No, that is not what I said.")
_CHANGED = (
    "No, wait. I have changed my mind.",
    "No, sorry. I have thought about it again.",
    "No. On second thoughts, I want something else there.",
)
_RETHOUGHT = ("I have changed my mind there.", "I have thought about that again.", "Let me put that differently.")
_MISREAD = (
    "Sorry, I misread it.",
    "Oh, I got that wrong.",
    "My mistake, I mixed something up.",
    "Sorry, that was a typo.",
)
_CORRECTION = re.compile(r"^(No\b|Hold on\b)")
_UNABLE = ("I'm not able to {}.", "Sorry, I am unable to {}.", "I can't {}, I'm afraid.", "There is no way I can {}.")
_ALREADY = ("I have done that already.", "That is done already.", "I did that before.")
_UNKNOWN = (
    "I'm afraid I don't know that.",
    "That I can't tell you, sorry.",
    "I have no idea, can you look it up?",
    "I don't have that at hand.",
)
_DONE = ("I have done that now.", "Done.", "OK, that's done.", "All right, I did it.", "There, done.")
_SHOWN = ("It says: {}", "This is what I see: {}", "Here is what it shows: {}")
_FAILED = ("That did not work: {}", "It did not work, I get this: {}", "I get an error: {}")
_BYE = (
    "No, that's all. Thank you!",
    "No, thanks.",
    "That was everything, thanks.",
    "No, bye!",
    "Nothing else, thank you very much.",
    "That's it, have a good one.",
    "No, you have helped me a lot.",
)
_ACCEPT = ("All right, then that's how it is.", "Too bad, but I understand.", "OK, I see.")
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
        return _say(_open(view, view.scenario, request, rng, first=settled == 0))
    return _respond(view, view.scenario, request, heard, rng)


def count_settled(turns: Sequence[Turn]) -> int:
    """Return how many requests the agent has closed by asking whether there is anything else."""
    return sum(bool(_SETTLED.search(turn.spoken)) for turn in turns[1:] if turn.seat == "agent")


def _opened(turns: Sequence[Turn]) -> bool:
    """Return whether the user has spoken since the agent greeted or closed a request."""
    for turn in reversed(turns):
        if turn.seat == "user" and turn.spoken:
            return True
        if turn.seat == "agent" and (_SETTLED.search(turn.spoken) or turn is turns[0]):
            return False
    return False


def _open(view: View, scenario: UserScenario, request: Request, rng: random.Random, *, first: bool) -> str:
    chatty = "polite" in scenario.persona or "open" in scenario.persona
    parts = [rng.choice(_GREETINGS)] if first and "polite" in scenario.persona else []
    parts.append(rng.choice(_WISHES).format(request.topic))
    told: Sequence[Fact] = ()
    if "open" in scenario.persona:
        told = (*request.facts, *(scenario.identity if first else ()))
    elif "polite" in scenario.persona:
        told = request.facts
    elif "hurry" in scenario.persona:
        told = request.facts[:1]
    parts += [tell(fact, rng, at_first=_is_early(view, fact)) for fact in rng.sample(told, len(told))]
    if first and chatty and scenario.asides:
        parts.insert(rng.randint(1, len(parts)), speak(rng.choice(scenario.asides)))
    return " ".join(parts)


def _respond(view: View, scenario: UserScenario, request: Request, heard: str, rng: random.Random) -> Message:
    if step := _find_step(view, scenario, request, heard, rng):
        return step
    if _CONFIRM.search(heard):
        return _say(_confirm(view, request, heard, rng))
    everything = (*scenario.identity, *request.facts)
    if asked := _find_asked(everything, heard):
        return _say(_tell_all(view, asked, rng))
    said = _join_said(view.turns)
    told = all(is_told(fact, said) or fact.at_first != fact.text for fact in request.facts)
    last, asks = _last_words(view.turns), bool(_ASKS.search(heard))
    if told and not asks and last in _ACCEPT and request is scenario.requests[-1]:
        return _say(f"{rng.choice(_BYE)} {STOP}")
    if told and not asks and _REFUSED.search(heard):
        return _say(rng.choice(_ACCEPT))
    if told and asks and not _ASKS_WISH.search(heard) and last not in _UNKNOWN:
        return _say(rng.choice(_UNKNOWN))
    return _say(f"{rng.choice(_WISHES).format(request.topic)} {_tell_all(view, everything, rng)}".strip())


def _confirm(view: View, request: Request, heard: str, rng: random.Random) -> str:
    """Return a yes to what is wanted, else what is different from what was repeated, once."""
    changed = [fact for fact in request.facts if fact.whim and is_said(fact.whim, heard)]
    missing = [fact for fact in request.facts if fact in changed or not is_told(fact, heard)]
    if not missing or _corrected(view.turns):
        return rng.choice(_YES)
    return " ".join([rng.choice(_CHANGED if changed else _NO), *(answer_with(fact, rng) for fact in missing)])


def _tell_all(view: View, facts: Sequence[Fact], rng: random.Random) -> str:
    parts = list[str]()
    for fact in facts:
        early = _is_early(view, fact)
        if (fact.slip or fact.whim) and not early:
            parts.append(rng.choice(_MISREAD if fact.slip else _RETHOUGHT))
        parts.append(answer_with(fact, rng, at_first=early))
    return " ".join(parts)


def _is_early(view: View, fact: Fact) -> bool:
    """Return whether the user still says what they say in the beginning: a slip or a whim is told once."""
    if fact.at_first == fact.text:
        return False
    said = _join_said(view.turns if fact.slip else _since_settled(view.turns))
    return not is_said(fact.at_first, said) and not is_told(fact, said)


def _find_asked(facts: Sequence[Fact], heard: str) -> list[Fact]:
    """Return the facts that are asked for by their labels; who asks for the new phone number wants only that one."""
    left, asked = heard.lower(), set[str]()
    for label in sorted({fact.label for fact in facts}, key=len, reverse=True):
        if label.lower() in left:
            left = left.replace(label.lower(), "")
            asked.add(label)
    return [fact for fact in facts if fact.label in asked]


def _join_said(turns: Sequence[Turn]) -> str:
    return " ".join(turn.spoken for turn in turns if turn.seat == "user")


def _corrected(turns: Sequence[Turn]) -> bool:
    return bool(_CORRECTION.search(_last_words(turns)))


def _last_words(turns: Sequence[Turn]) -> str:
    return next((turn.spoken for turn in reversed(turns) if turn.seat == "user" and turn.spoken), "")


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
            return _say(rng.choice(_ALREADY))
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
        return rng.choice(_SHOWN).format(" ".join(shown))
    return rng.choice(_FAILED).format(failed) if failed else rng.choice(_DONE)


def _say(text: str) -> Message:
    return Message(content=text)
