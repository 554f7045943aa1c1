"""Rendering what the user knows and wants as text (the fields of tau2's user scenario).

The wording is drawn by what is said, so that equal scenarios read alike and different ones differ.
"""

import random
from collections.abc import Callable, Sequence

from veriloop.core.base import derive_seed
from veriloop.domains.task import Fact, Request, UserScenario
from veriloop.engine.plan import PERSONAS

NAMES = ("Your name is {}.", "You are {}.", "You are called {}.", "Your name: {}.")
KNOWN = ("Your {label} is {text}.", "The {label} on your account is {text}.", "Your {label}: {text}.")
WISHES = (
    "You want to {}.",
    "You would like to {}.",
    "You are calling to {}.",
    "You hope to {}.",
    "What you want is to {}.",
    "You have decided to {}.",
)
FACTS = (
    "The {label} is {text}.",
    "The {label} is to be {text}.",
    "As the {label} you give {text}.",
    "For the {label} you say {text}.",
    "Asked for the {label}, you answer {text}.",
    "What you have in mind for the {label} is {text}.",
)
QUOTES = ('You put it like this: "{}"', 'In your words: "{}"', 'You say: "{}"')
SLIPS = (
    "The first time you tell the {label} you get it wrong and say {slip}; when it is not found or you are asked again, "
    "you give the right one.",
    "By mistake you first say that the {label} is {slip}, and correct that as soon as you are told that there is none.",
)
WHIMS = (
    "At first you want the {label} to be {whim}; when the agent asks again or sums it up, you change your mind: now "
    "it is {text}.",
    "You begin by asking for {whim} as the {label}. Only when you hear it repeated, or are asked again, do you prefer "
    "{text}, and you say so.",
)
DECLINES = (
    "You are not able to {}: say so when you are asked to.",
    "If you are asked to {}, say that you are not able to.",
)
LINKS = (" Then: ", " After that: ", " When that is settled: ", " Next: ")
UNKNOWN = (
    "You know nothing else about your account.",
    "Nothing else about your account is known to you.",
    "You do not remember anything more about your account.",
    "Of your account you know only this.",
)
RULES = (
    ("Say nothing that is not written here.", "Make nothing up.", "Keep to what is written here."),
    (
        "Say yes when the agent repeats what you want.",
        "Agree when the agent sums up what you want.",
        "When the agent has understood you and asks for your consent, give it.",
    ),
    (
        "If the agent says that something cannot be done, accept it.",
        "Take no for an answer.",
        "If something turns out not to be possible, leave it at that.",
    ),
)


Pick = Callable[[Sequence[str]], str]
"""Chooses one of several wordings."""


def render_user(
    name: str,
    persona: str,
    identity: Sequence[Fact],
    requests: Sequence[Request],
    asides: Sequence[str] = (),
    *,
    plain: bool = False,
) -> UserScenario:
    """Write a scenario; `persona` is a name in PERSONAS. plain: always in the same words."""
    rng = random.Random(derive_seed("scenario", name, *(fact.text for fact in identity)))
    pick: Pick = _take_first if plain else rng.choice
    known = [pick(NAMES).format(name), *(_write_known(fact, pick) for fact in identity)]
    return UserScenario(
        persona=PERSONAS[persona],
        reason_for_call=pick(LINKS).join(render_request(request, plain=plain) for request in requests),
        known_info=" ".join([*(known if plain else rng.sample(known, len(known))), *asides]),
        unknown_info=pick(UNKNOWN),
        task_instructions=" ".join(pick(ways) for ways in RULES),
        identity=tuple(identity),
        requests=tuple(requests),
        asides=tuple(asides),
    )


def render_request(request: Request, *, plain: bool = False) -> str:
    """Write one wish with the facts that belong to it and what the user cannot do about it."""
    rng = random.Random(derive_seed("request", request.topic, *(fact.text for fact in request.facts)))
    pick: Pick = _take_first if plain else rng.choice
    facts = [part for fact in request.facts for part in _write_fact(fact, pick, quote=not plain and rng.random() < 0.5)]
    declined = [pick(DECLINES).format(words) for words in request.declines.values()]
    return " ".join([pick(WISHES).format(request.topic), *facts, *declined])


def _take_first(wordings: Sequence[str]) -> str:
    return wordings[0]


def _write_known(fact: Fact, pick: Pick) -> str:
    return " ".join([pick(KNOWN).format(label=fact.label, text=fact.text), *_write_quirk(fact, pick)])


def _write_fact(fact: Fact, pick: Pick, *, quote: bool) -> list[str]:
    """Return the sentences about one fact. quote: in the words that people have for it, where there are some."""
    if fact.forms and quote:
        told = pick(QUOTES).format(pick(fact.forms).format(label=fact.label, text=fact.text))
    else:
        told = pick(FACTS).format(label=fact.label, text=fact.text)
    return [told, *_write_quirk(fact, pick)]


def _write_quirk(fact: Fact, pick: Pick) -> list[str]:
    ways = SLIPS if fact.slip else WHIMS if fact.whim else ()
    return [pick(ways).format(label=fact.label, text=fact.text, slip=fact.slip, whim=fact.whim)] if ways else []


def pick_topic(topics: tuple[str, ...], fallback: str, rng: random.Random) -> str:
    """Return one wording of what a tool does; a tool without topics is named by its description."""
    return rng.choice(topics) if topics else fallback.rstrip(".").lower()
