"""The ways to propose a plan set: reflection on what a pilot made, alone or under GEPA, or chance as its control."""

import math

from veriloop.engine.evolution import Candidate, Evidence, Search, scale
from veriloop.engine.gepa import GepaSearch
from veriloop.engine.plan import FACETS, Weights
from veriloop.engine.reflection import reflect

SPREAD = 0.7
"""Standard deviation of the logarithm of a random factor: about as large as reflection's first changes are."""


def mutate(evidence: Evidence) -> Candidate:
    """Return the plans with every weight multiplied by chance, of all plans alike: what reflection has to beat."""
    factors = {facet: _draw_factors(getattr(evidence.reach, facet), evidence) for facet in FACETS}
    pairs = tuple(scale(pair, factors) for pair in evidence.pairs)
    return Candidate(pairs=pairs, workflow=evidence.workflow, reasons=("every weight changes by chance",))


SEARCHES: dict[str, Search] = {"native": reflect, "random": mutate, "gepa": GepaSearch(reflect)}


def _draw_factors(names: Weights, evidence: Evidence) -> Weights:
    return {name: math.exp(evidence.rng.gauss(0.0, SPREAD)) for name in sorted(names)}
