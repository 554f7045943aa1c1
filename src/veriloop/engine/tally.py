"""What a pilot made beside what its plans asked for and what is wanted: the evidence that proposals rest on."""

import re
from collections import Counter
from dataclasses import dataclass

from veriloop.engine.evolution import Evidence
from veriloop.engine.fitness import list_facets
from veriloop.engine.plan import FACETS, Weights, share
from veriloop.proof.counterexample import MARK

_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|\S*\d\S*")


@dataclass(frozen=True, slots=True)
class Row:
    """One of a facet's `names`. wanted, asked: shares. made: tasks about it, of `total` about any name of the facet.

    rate: its accepted drafts per draft relative to the facet's mean; None where drafts that failed do not tell.
    """

    facet: str
    name: str
    wanted: float
    asked: float
    made: int
    total: int
    names: int
    rate: float | None


def count_pilot(evidence: Evidence) -> list[Row]:
    """Return a row for every name that plans can vary over; none of a facet of which nothing was made."""
    rows = list[Row]()
    for facet in FACETS:
        wanted: Weights = getattr(evidence.reach, facet)
        made = Counter(name for item in evidence.items for name in list_facets(item).get(facet, ()))
        total = sum(made[name] for name in wanted)
        asked, rates = _measure_asked(evidence, facet), _measure_rates(evidence, facet)
        rows += [
            Row(facet, name, part, asked[name], made[name], total, len(wanted), rates.get(name))
            for name, part in wanted.items()
            if total
        ]
    return rows


def count_failures(evidence: Evidence) -> list[tuple[str, str, int]]:
    """Return (stage, reason, count of drafts), the most frequent first; names and numbers are left out.

    A draft with several things wrong counts for each: to mend one of them alone would not save it.
    """
    counts = Counter(
        (rejection.stage, reason)
        for item in evidence.items
        for rejection in item.rejections
        for reason in dict.fromkeys(map(generalise, (rejection.reason, *rejection.also)))
    )
    return [(stage, reason, count) for (stage, reason), count in counts.most_common()]


def generalise(reason: str) -> str:
    """Return a reason without the names and numbers of its case, so that equal reasons can be counted."""
    return _VARYING.sub("…", reason.partition(MARK)[0])[:160]


def _measure_asked(evidence: Evidence, facet: str) -> Weights:
    """Return the share of each name in what the plans in force ask for."""
    shares = [share(getattr(pair.synthesis, facet)) for pair in evidence.pairs]
    names: Weights = getattr(evidence.reach, facet)
    return {name: sum(found.get(name, 0.0) for found in shares) / len(shares) for name in names}


def _measure_rates(evidence: Evidence, facet: str) -> Weights:
    """Return each tool's or tier's accepted drafts per draft, relative to that of all; other facets have none."""
    if facet not in ("tools", "tiers"):
        return {}
    accepted, drafts = Counter[str](), Counter[str]()
    for item in evidence.items:
        for rejection in item.rejections:
            drafts.update(rejection.tools if facet == "tools" else [rejection.tier] if rejection.tier else [])
        names = list_facets(item).get(facet, ())
        accepted.update(names)
        drafts.update(names)
    mean = accepted.total() / max(1, drafts.total())
    # Drawn towards the mean by two drafts, so that one unlucky draft decides nothing.
    return {name: (accepted[name] + 2 * mean) / (count + 2) / mean for name, count in drafts.items()} if mean else {}
