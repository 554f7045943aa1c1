"""What experts written as one conversation share: a generator yields messages and is sent what came of them."""

import re
from collections.abc import Callable, Generator, Sequence
from typing import Any

from veriloop.core.base import derive_seed
from veriloop.core.message import Message, ToolCall, Turn
from veriloop.domains.tool import Tool

Talk = Generator[Message, str, Any]
"""Yields what to say or call and is sent what came of it: a tool's result or what the user said."""
HANDED_OVER = "YOU ARE BEING TRANSFERRED TO A HUMAN AGENT. PLEASE HOLD ON."
"""What tau2's policies have an agent say after a transfer."""
ATTEMPTS = 3
"""Times that a change is summed up for the same wish."""
_WORD = re.compile(r"[a-z]+")
_SENTENCE = re.compile(r"[^.?!]+")
_YES = re.compile(r"^\W*(yes|yeah|sure|ok)\b", re.IGNORECASE)


class HandOverError(Exception):
    """The request cannot be handled here; says why."""


class ChangedError(Exception):
    """The customer says no to what was summed up: what they want instead is heard by now."""


class RefusalError(Exception):
    """The policy forbids the request; says why."""


_ASK = (
    "Could you tell me {}?",
    "What is {}?",
    "Please tell me {}.",
    "For that I need {}.",
    "Can you give me {}?",
)
_AGREE = (
    "Shall I go ahead?",
    "Should I go ahead?",
    "Is that correct?",
    "Do you want me to go ahead?",
    "Would you like me to do that?",
)
_DONE = ("That is done.", "Done.", "I have taken care of that.", "That is settled.", "It is done.")
_REFUSE = (
    "I am sorry, but I cannot do that: {}.",
    "Unfortunately I cannot do that: {}.",
    "I am afraid that is not possible: {}.",
    "That I cannot do: {}.",
)


def say(text: str) -> Message:
    """Return a message to the user."""
    return Message(content=text)


def call(tool: str, /, **arguments: Any) -> Message:
    """Return a call of one of the agent's tools."""
    return Message(tool_calls=(ToolCall(id=f"call_{tool}", name=tool, arguments=arguments),))


def ask_for(*labels: str) -> Message:
    """Ask for facts by their labels."""
    wanted = join_labels(labels)
    return say(_vary(_ASK, wanted).format(wanted))


def join_labels(labels: Sequence[str]) -> str:
    """Return labels as one enumeration with their articles."""
    *others, last = [f"the {label}" for label in labels]
    return f"{', '.join(others)} and {last}" if others else last


def word_done(about: str) -> str:
    """Return the sentence that tells that a wish is carried out; `about` draws the wording."""
    return _vary(_DONE, about)


def word_refusal(reason: object) -> str:
    """Return the sentence that refuses a wish for a reason."""
    return _vary(_REFUSE, str(reason)).format(reason)


def _vary(wordings: Sequence[str], about: str) -> str:
    """Return one of several wordings, the same one for the same matter: an expert is run again at every turn."""
    return wordings[derive_seed("voice", about) % len(wordings)]


def sum_up(text: str) -> Message:
    """Say what is about to be changed and ask for a yes."""
    return say(f"{text} {_vary(_AGREE, text)}")


def agree(text: str) -> Talk:
    """Sum up a change and wait for a yes; raises ChangedError without one."""
    answer = yield sum_up(text)
    if not _YES.search(answer):
        raise ChangedError(answer)


def confirm(text: str) -> Talk:
    """Sum up a change and wait for a yes, once more with what the user corrects; raises HandOverError without one."""
    try:
        try:
            yield from agree(text)
        except ChangedError as answer:
            yield from agree(f"{text} {answer}")
    except ChangedError:
        raise HandOverError("The customer does not agree.") from None


def settle(change: Callable[[], Generator[Any, str, Any]]) -> Generator[Any, str, Any]:
    """Go through a change, from the start again whenever the customer corrects what is summed up."""
    for _ in range(ATTEMPTS):
        try:
            return (yield from change())
        except ChangedError:
            continue
    raise HandOverError("The customer does not agree.")


def find_tool(tools: Sequence[Tool], wish: str) -> Tool | None:
    """Return the agent's tool of which a sentence has most of a wording's longer words, three of four at least."""
    # "I have to resume a suspended line" does not ask to have a line suspended.
    said = wish.lower().replace("have to ", "")
    sentences = [set(_WORD.findall(sentence)) for sentence in _SENTENCE.findall(said)]
    topics = [
        (wanted, tool)
        for tool in tools
        if tool.seat == "agent"
        for topic in tool.topics
        # Why somebody wants something says nothing of what it is.
        if (wanted := {word for word in _WORD.findall(topic.lower().partition(" because ")[0]) if len(word) > 3})
    ]
    shares = [(len(wanted & words) / len(wanted), len(wanted), tool) for wanted, tool in topics for words in sentences]
    share, _, tool = max(shares, key=lambda found: found[:2], default=(0.0, 0, None))
    return tool if share >= 0.75 else None


def observe(turns: Sequence[Turn]) -> list[str]:
    """Return what the agent learnt after each of its messages: a tool's result, or what the user then said."""
    found: list[str] = []
    for turn in turns:
        if turn.seat == "agent":
            found.append(" ".join(result.content for result in turn.results))
        elif found:
            found[-1] = f"{found[-1]} {turn.spoken}".strip()
    return found
