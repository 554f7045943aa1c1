"""System texts that cannot all be followed: the same demanded and forbidden, or calls wanted in two formats.

A rule is a sentence with a word such as must, may or cannot; two rules contradict each other when they are the same
but for that word, and one forbids what the other does not. Rules of one text are compared, and those of all system
texts of a domain: there the rows of whichever version fewer rows have are at fault, of equally many the later ones.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from veriloop.store.audit.memo import Memo, digest_text
from veriloop.store.audit.sample import Sample
from veriloop.store.fault import Fault, Note

_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_MODAL = re.compile(
    r"\b(must|should|shall|may|can|could|will|do|does|are|is)\s*(not|never|n't)\b|\b(cannot|can't|won't|don't|never)\b"
    r"|\b(must|should|shall|may|can|always|are allowed to|are to)\b",
    re.IGNORECASE,
)
_FORBIDS = re.compile(r"not|n't|never", re.IGNORECASE)
_WORD = re.compile(r"[\w#$%]+")
_SHOWN = 160
"""Characters that are shown of a rule."""
_WORDS = 4
"""A rule with fewer words besides its modal is too short to be about one thing."""
_FORMATS = {
    "<tool_call>": re.compile(r"<tool_call>"),
    "<function=...>": re.compile(r"<function="),
    "Action: / Action Input:": re.compile(r"^\s*Action Input:", re.MULTILINE),
    "[TOOL_CALLS]": re.compile(r"\[TOOL_CALLS\]"),
    "<|python_tag|>": re.compile(r"<\|python_tag\|>"),
    "<invoke>": re.compile(r"<(?:\w+:)?invoke\b"),
}
"""How a call is written, by what only that format has."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a sentence is about, without its modal, and whether it forbids that."""

    key: bytes
    forbids: bool
    text: str


@dataclass(slots=True)
class _Text:
    """A system text: its rules as key -> whether it forbids, and the rows that have it, as (file, row)."""

    rules: dict[bytes, bool]
    places: list[tuple[str, int]] = field(default_factory=list)


class Policies:
    """Compares the system texts of all rows."""

    def __init__(self) -> None:
        self._sentences = Memo()
        self._checked = Memo()
        self._domains: dict[str, dict[bytes, _Text]] = {}
        self._told: dict[bytes, str] = {}

    def check(self, sample: Sample, file: str, note: Note) -> None:
        """Note what one system text contradicts itself in, and keep its rules to compare with others of the domain."""
        system = sample.system
        if not system:
            return
        rules, problems = self._checked.ask(self._read, system)
        for problem in problems:
            note(Fault.CONTRADICTION, problem)
        if sample.seat == "agent":
            texts = self._domains.setdefault(sample.domain_name or f"file {file}", {})
            text = texts.setdefault(digest_text(system), _Text(rules))
            text.places.append((file, sample.row))

    def finish(self) -> Iterator[tuple[str, int, str]]:
        """Yield (file, row, what) of rows whose system text contradicts that of most rows of their domain."""
        for domain, texts in self._domains.items():
            sides: dict[bytes, dict[bool, list[_Text]]] = {}
            for text in texts.values():
                for key, forbids in text.rules.items():
                    sides.setdefault(key, {}).setdefault(forbids, []).append(text)
            for key, both in sides.items():
                if len(both) == 2:
                    fewer = min(both.values(), key=_weigh)
                    side = "forbids" if fewer is both[True] else "demands or allows"
                    what = f"unlike most rows of {domain}, its system text {side}: {self._told[key]}"
                    yield from ((*place, what) for text in fewer for place in text.places)

    def _read(self, system: str) -> tuple[dict[bytes, bool], list[str]]:
        """Return a text's rules that it does not break itself, and in words those that it does."""
        rules: dict[bytes, bool] = {}
        broken: dict[bytes, str] = {}
        for sentence in _SENTENCE.split(system):
            rule = self._sentences.ask(read_rule, sentence)
            if rule is None:
                continue
            self._told.setdefault(rule.key, rule.text)
            if rules.setdefault(rule.key, rule.forbids) != rule.forbids:
                broken[rule.key] = f"the system text demands or allows and forbids the same: {rule.text}"
        formats = [name for name, pattern in _FORMATS.items() if pattern.search(system)]
        problems = [*broken.values()]
        if len(formats) > 1:
            problems.append(f"the system text wants calls in two formats, {' and '.join(formats)}")
        return {key: forbids for key, forbids in rules.items() if key not in broken}, problems


def read_rule(sentence: str) -> Rule | None:
    """Return the rule that a sentence states, None where it has no modal or little besides."""
    modals = list(_MODAL.finditer(sentence))
    if not modals:
        return None
    rest = _WORD.findall(_MODAL.sub(" ", sentence).lower())
    if len(rest) < _WORDS:
        return None
    forbids = sum(bool(_FORBIDS.search(modal.group())) for modal in modals) % 2 == 1
    return Rule(digest_text(*rest), forbids, sentence.strip()[:_SHOWN])


def _weigh(texts: list[_Text]) -> tuple[int, int]:
    """Order versions of a rule: what fewer rows have comes first, of equally many what comes later."""
    return sum(len(text.places) for text in texts), -min(text.places[0][1] for text in texts)
