"""What tasks are like as a set, so that ours can be laid beside the benchmark's: tools, reads and writes, words."""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable

from veriloop.core.base import Frozen, derive_seed
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task, UserScenario
from veriloop.domains.tool import Tool

_WORD = re.compile(r"[\w'-]+")
RUN_LENGTH = 5
"""Words in a row by which the variety of instructions is told."""


class Profile(Frozen):
    """Averages over a set of tasks.

    tools: share of the tasks whose gold calls a tool, by its name. reads, writes: calls of the gold, both seats'.
    no_write: share of the tasks whose gold changes nothing. words: of an instruction. vocabulary: different words in
    instructions, for each thousand words, and variety: share of their runs of five words that occur in one instruction
    alone; both fall with the number of instructions, so two sets are to be compared on as many of each. turns: of the
    dialogues played about them; None where there are none.
    """

    tasks: int
    tools: dict[str, float]
    reads: float
    writes: float
    no_write: float
    words: float
    vocabulary: float
    variety: float
    turns: float | None = None


class Fidelity(Frozen):
    """Tasks of ours beside those of the benchmark; `distance` of the tools' shares is 0 where they agree, at most 1."""

    domain: str
    split: str
    ours: Profile
    official: Profile
    distance: float


def profile_tasks(
    domain: Domain, tasks: Iterable[Task], turns: float | None = None, *, sample: int | None = None
) -> Profile:
    """Return what a set of tasks is like; all figures of an empty one are 0.

    sample: how many instructions, drawn the same each time, the variety of words is told by; None for all.
    """
    found = list(tasks)
    called = [Counter(step.call.name for step in task.gold if step.call.name in domain.tools) for task in found]
    reads = [_count(names, domain, lambda tool: tool.kind == "read") for names in called]
    writes = [_count(names, domain, lambda tool: tool.kind == "write") for names in called]
    texts = [_WORD.findall(read_instruction(task.user).lower()) for task in found]
    used = Counter(name for names in called for name in names)
    drawn = texts
    if sample is not None and sample < len(texts):
        drawn = random.Random(derive_seed("fidelity", sample)).sample(texts, sample)
    return Profile(
        tasks=len(found),
        tools={name: round(used[name] / len(found), 4) for name in sorted(used)},
        reads=_mean(reads),
        writes=_mean(writes),
        no_write=_mean([number == 0 for number in writes]),
        words=_mean([len(text) for text in texts]),
        vocabulary=_share(1000 * len({word for text in drawn for word in text}), sum(map(len, drawn))),
        variety=_measure_variety(drawn),
        turns=turns,
    )


def compare_profiles(domain: Domain, split: str, ours: Profile, official: Profile) -> Fidelity:
    """Lay two profiles side by side."""
    names = sorted(ours.tools.keys() | official.tools.keys())
    gaps = [abs(ours.tools.get(name, 0.0) - official.tools.get(name, 0.0)) for name in names]
    return Fidelity(domain=domain.name, split=split, ours=ours, official=official, distance=_mean(gaps))


def read_instruction(user: UserScenario) -> str:
    """Return all that somebody who plays the user has to read."""
    return " ".join(part for part in (user.reason_for_call, user.known_info, user.task_instructions) if part)


def _count(names: Counter[str], domain: Domain, counts: Callable[[Tool], bool]) -> int:
    return sum(number for name, number in names.items() if counts(domain.tools[name]))


def _measure_variety(texts: list[list[str]]) -> float:
    runs = [{tuple(text[n : n + RUN_LENGTH]) for n in range(len(text) - RUN_LENGTH + 1)} for text in texts]
    seen = Counter(run for found in runs for run in found)
    return _share(sum(number == 1 for number in seen.values()), len(seen))


def _mean(values: list[int] | list[bool] | list[float]) -> float:
    return _share(sum(values), len(values))


def _share(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole else 0.0
