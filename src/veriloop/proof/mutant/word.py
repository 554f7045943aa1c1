"""Mistakes in what is said: nothing, the wrong thing, something else besides, or where nobody hears it."""

from collections.abc import Iterator
from dataclasses import replace

from veriloop.proof.dialogue import Dialogue, Line
from veriloop.proof.mutant.ground import Ground
from veriloop.proof.mutant.wording import CLAIMS, NO_REFUSALS, NO_WISHES, TAKEN_BACK, miss_value
from veriloop.proof.replay import closing_words

WORDINGS = 3
"""Wordings of one mistake tried on one task."""


def say_nothing(ground: Ground) -> Iterator[Dialogue]:
    """Do everything right and fall silent where a refusal or a value is due."""
    if ground.task.refused or ground.task.told:
        yield replace(hush(ground), closing=())


def claim_instead(ground: Ground) -> Iterator[Dialogue]:
    """Say something that sounds like an answer and refuses nothing."""
    if ground.task.refused:
        for text in ground.rng.sample(NO_REFUSALS, WORDINGS):
            yield ground.dialogue.close(" ".join([text, *ground.task.told]))


def claim_first(ground: Ground) -> Iterator[Dialogue]:
    """Say that it is done, and then that something else is not possible."""
    if ground.task.refused:
        for claim, denial in zip(say_done(ground, CLAIMS), ground.rng.sample(NO_WISHES, 2), strict=False):
            yield ground.dialogue.close(" ".join([claim, denial, *ground.task.told]))


def take_back(ground: Ground) -> Iterator[Dialogue]:
    """Refuse, and then say that it is done after all."""
    if ground.task.refused:
        for text in say_done(ground, TAKEN_BACK):
            yield ground.dialogue.close(*closing_words(ground.task), text)


def say_done(ground: Ground, claims: tuple[str, ...]) -> list[str]:
    """Return two claims of what is refused; where something else is done, they name what only the refused has."""
    if not ground.writes() and not ground.handovers():
        return ground.rng.sample(claims, 2)
    return [f"I have also changed {value} for you." for value in name_refused(ground)[:2]]


def name_refused(ground: Ground) -> list[str]:
    """Return texts that stand in refused calls and in nothing that is done or known of the caller."""
    task = ground.task
    refused = task.wanted[len(task.wanted) - len(task.refused) :]
    done = [task.gold[position].call for position in (*ground.writes(), *ground.handovers())]
    other = {str(fact.value) for fact in task.user.identity} | {str(call.arguments) for call in done}
    values = [value for call in refused for value in call.arguments.values() if isinstance(value, str)]
    return [value for value in values if len(value) > 3 and not any(value in text for text in other)]


def tell_wrong(ground: Ground) -> Iterator[Dialogue]:
    """Leave out a value that has to be told, or tell one that looks like it."""
    words = closing_words(ground.task)
    for value in ground.task.told:
        rest = [word for word in words if word != value]
        yield hush(ground).close(" ".join(["That is all I can tell you.", *rest]))
        for other in miss_value(value):
            yield hush(ground).close(" ".join([*rest, f"It is {other}."]))


def speak_unheard(ground: Ground) -> Iterator[Dialogue]:
    """Say the right words beside a call, where the user does not hear them."""
    reads = [position for position, step in enumerate(ground.task.gold) if step.seat == "agent"]
    if reads and (ground.task.refused or ground.task.told):
        call = ground.task.gold[reads[0]].call
        words = " ".join(closing_words(ground.task))
        yield hush(ground).add(Line("agent", words, (call,))).close("Is there anything else?")


def hush(ground: Ground) -> Dialogue:
    """Return the right dialogue without the details of what is confirmed, which may hold what is to be told."""
    steps = tuple(
        tuple(replace(line, text="Shall I do that?") if line.seat == "agent" and line.text else line for line in step)
        for step in ground.dialogue.steps
    )
    return replace(ground.dialogue, steps=steps)
