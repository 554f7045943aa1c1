"""A scripted user that errs in a known way in a known share of its dialogues, so that its price can be told."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, get_args

from veriloop.core.base import derive_seed
from veriloop.core.errors import InputError
from veriloop.core.message import Message
from veriloop.domains.task import Fact, Request, UserScenario
from veriloop.rollout.player import View
from veriloop.rollout.scripted import STOP, answer

Fault = Literal["leak", "contradict", "stop"]
"""leak: reads its instruction out. contradict: wants something else than its script says. stop: leaves too early."""
_HURRY = ("Sorry, I have to go now.", "I have no more time, bye.", "Something came up, goodbye.")
_DIGIT = re.compile(r"\d")


class FaultyUser:
    """Plays like the scripted user but for a share of dialogues, drawn by their keys, that it spoils in one way.

    rate: that share. Raises InputError for a fault that is none or a rate that is no share.
    """

    def __init__(self, fault: str, rate: float) -> None:
        if fault not in _SPOIL:
            raise InputError(f"{fault!r} is no fault of users; it is one of {', '.join(get_args(Fault))}")
        if not 0 <= rate <= 1:
            raise InputError(f"a user cannot err in a share of {rate:g}; give a number from 0 to 1")
        self.name = f"scripted, {fault} {rate:g}"
        self._fault, self._rate = fault, rate

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Answer each view as the script would, or worse."""
        return [_SPOIL[self._fault](view) if self._errs(view) else answer(view) for view in views]

    def _errs(self, view: View) -> bool:
        return random.Random(derive_seed("faulty", self._fault, view.key)).random() < self._rate


def _leak(view: View) -> Message:
    """Read the instruction out where the caller speaks first."""
    said = answer(view)
    if view.scenario is None or said.tool_calls or _has_spoken(view):
        return said
    script = f"{view.scenario.known_info} {view.scenario.task_instructions}"
    return said.model_copy(update={"content": f"{said.content} {' '.join(script.split())}"})


def _contradict(view: View) -> Message:
    """Follow a script in which one thing that is wanted is another."""
    if view.scenario is None:
        return answer(view)
    return answer(replace(view, scenario=_alter(view.scenario, view.key)))


def _stop(view: View) -> Message:
    """Leave when it is the caller's turn for the second time."""
    if not _has_spoken(view):
        return answer(view)
    rng = random.Random(derive_seed("hurry", view.key))
    return Message(content=f"{rng.choice(_HURRY)} {STOP}")


_SPOIL: dict[str, Callable[[View], Message]] = {"leak": _leak, "contradict": _contradict, "stop": _stop}


def _has_spoken(view: View) -> bool:
    return any(turn.seat == "user" and turn.spoken for turn in view.turns)


def _alter(scenario: UserScenario, key: str) -> UserScenario:
    """Return the scenario with one fact of a request told as something that looks like it."""
    places = [
        (place, number) for place, request in enumerate(scenario.requests) for number in range(len(request.facts))
    ]
    if not places:
        return scenario
    place, number = random.Random(derive_seed("alter", key)).choice(places)
    request = scenario.requests[place]
    facts = (*request.facts[:number], _mistake(request.facts[number]), *request.facts[number + 1 :])
    altered: Request = request.model_copy(update={"facts": facts})
    return scenario.model_copy(
        update={"requests": (*scenario.requests[:place], altered, *scenario.requests[place + 1 :])}
    )


def _mistake(fact: Fact) -> Fact:
    """Return the fact with its last figure, or its last two letters, changed."""
    found = list(_DIGIT.finditer(fact.text))
    if found:
        place = found[-1].start()
        text = f"{fact.text[:place]}{(int(fact.text[place]) + 1) % 10}{fact.text[place + 1 :]}"
    else:
        text = f"{fact.text[:-2]}{fact.text[-1:]}{fact.text[-2:-1]}x"
    return fact.model_copy(update={"text": text, "slip": "", "whim": ""})
