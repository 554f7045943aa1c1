"""How people tell a fact, and how an agent finds it again in what they said.

Scripted users draw from these sentences, scripted experts read all of them: what varies is how people talk, never what
they mean. A domain adds sentences of its own beside the argument they are about (`Source.forms`).
"""

import functools
import random
import re
from collections.abc import Iterable, Mapping, Sequence

from veriloop.domains.task import Fact
from veriloop.domains.tool import Tool

Forms = Mapping[str, tuple[str, ...]]
"""Sentences by the wording they tell; those under "" hold `{text}` and tell any."""

WISH_FORMS = (
    "The {label} is {text}.",
    "The {label}: {text}.",
    "The {label} would be {text}.",
    "As for the {label}, {text}.",
    "For the {label}, it's {text}.",
    "Regarding the {label}: {text}.",
    "{text} is the {label}.",
    "{text}, that's the {label}.",
    "You will want to know the {label}: {text}.",
    "Let me see, the {label} is {text}.",
)
OWN_FORMS = (
    "My {label} is {text}.",
    "My {label}: {text}.",
    "{text} is my {label}.",
    "{text}, that's my {label}.",
    "The {label} you have of me is {text}.",
    "You should find me by the {label} {text}.",
    "I am registered with the {label} {text}.",
)
PLAIN_FORMS = ("The {label} is {text}.", "My {label}: {text}.", "{text} is the {label}.")
"""Enough to be understood; for models that have little room for words."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_LEAD = r"(?:(?:no|wait|sorry|hold on|actually|oh|hello|hi|yes)\b[^:]*: )?"
"""What may stand before a fact in its sentence: "Sorry, I misread it: my zip code is 94103."""


def is_said(text: str, spoken: str) -> bool:
    """Return whether `text` occurs in `spoken` as whole words, whatever the case: "2 days" is not in "12 days"."""
    return bool(re.search(rf"(?<!\w){re.escape(text.lower())}(?!\w)", spoken.lower()))


def is_told(fact: Fact, spoken: str) -> bool:
    """Return whether a fact was told: its wording, or one of the sentences that stand for it whole."""
    return is_said(fact.text, spoken) or any(form in spoken for form in fact.forms if "{text}" not in form)


def tell(fact: Fact, rng: random.Random, *, at_first: bool = False) -> str:
    """Return a sentence that tells a fact; `at_first`, what the user says for it in the beginning."""
    text, own = (fact.at_first, ()) if at_first else (fact.text, fact.forms)
    forms = own or (WISH_FORMS if fact.argument else OWN_FORMS)
    return rng.choice(forms).format(label=fact.label, text=text)


def answer_with(fact: Fact, rng: random.Random, *, at_first: bool = False) -> str:
    """Return a sentence that tells a fact under its name, as somebody does who was asked for it by that."""
    forms = [form for form in fact.forms if "{label}" in form] or (WISH_FORMS if fact.argument else OWN_FORMS)
    return rng.choice(forms).format(label=fact.label, text=fact.at_first if at_first else fact.text)


def find_told(said: str, label: str, forms: Forms | None = None) -> list[str]:
    """Return all that was told under a label or in its own sentences, in the order it was said."""
    patterns = _compile(label, tuple(sorted((forms or {}).items())))
    found = list[str]()
    for sentence in _SENTENCE.split(said):
        for pattern, text in patterns:
            if match := pattern.fullmatch(sentence.strip()):
                found.append(text or match["text"].strip())
                break
    return found


def collect_forms(tools: Iterable[Tool]) -> dict[str, Forms]:
    """Return the sentences of all arguments that users tell, by label."""
    found = dict[str, dict[str, tuple[str, ...]]]()
    for source in (source for tool in tools for source in tool.sources.values() if source.told):
        for text, forms in source.forms.items():
            known = found.setdefault(source.label, {})
            known[text] = tuple(dict.fromkeys((*known.get(text, ()), *forms)))
    return {label: dict(forms) for label, forms in found.items()}


@functools.lru_cache(maxsize=512)
def _compile(label: str, forms: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return patterns, each with the wording it stands for; an empty one stands for what its group `text` holds."""
    own = [(form, text) for text, sentences in forms for form in sentences]
    named = [(form, "") for form in (*WISH_FORMS, *OWN_FORMS, *PLAIN_FORMS)]
    return tuple((_write_pattern(form, label), text) for form, text in (*own, *named))


def _write_pattern(form: str, label: str) -> re.Pattern[str]:
    """Return the pattern of a sentence. The article may be missing, and so may the full stop at the end."""
    before, _, after = re.escape(form.rstrip(".")).partition(re.escape("{text}"))
    middle = rf"(?P<text>.+?){after}" if "{text}" in form else ""
    pattern = (before + middle).replace(re.escape("{label}"), re.escape(label))
    return re.compile(rf"{_LEAD}{pattern}[.!]?", re.IGNORECASE)
