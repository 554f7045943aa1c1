"""Rendering what the user knows and wants as text (the fields of tau2's user scenario)."""

import random

from veriloop.domains.task import Fact, Request, UserScenario
from veriloop.engine.plan import PERSONAS


def render_user(name: str, persona: str, identity: tuple[Fact, ...], requests: tuple[Request, ...]) -> UserScenario:
    """Write a scenario; `persona` is a name in PERSONAS."""
    known = [f"Your name is {name}."] + [f"Your {fact.label} is {fact.text}." for fact in identity]
    return UserScenario(
        persona=PERSONAS[persona],
        reason_for_call=" Then: ".join(render_request(request) for request in requests),
        known_info=" ".join(known),
        unknown_info="You know nothing else about your account.",
        task_instructions=(
            "Say nothing that is not written here. Say yes when the agent repeats what you want. "
            "If the agent says that something cannot be done, accept it."
        ),
        identity=identity,
        requests=requests,
    )


def render_request(request: Request) -> str:
    """Write one wish with the facts that belong to it and what the user cannot do about it."""
    facts = [f"The {fact.label} is {fact.text}." for fact in request.facts]
    declined = [f"You are not able to {words}: say so when you are asked to." for words in request.declines.values()]
    return " ".join([f"You want to {request.topic}.", *facts, *declined])


def pick_topic(topics: tuple[str, ...], fallback: str, rng: random.Random) -> str:
    """Return one wording of what a tool does; a tool without topics is named by its description."""
    return rng.choice(topics) if topics else fallback.rstrip(".").lower()
