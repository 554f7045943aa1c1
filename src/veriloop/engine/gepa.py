"""`--search gepa`: the gepa package searches on slices of the pilot, and reflection makes its proposals.

A candidate is a whole plan set with its workflow, as text. Its score on a slice is the fitness of what it makes of that
slice's orders. GEPA (arXiv 2507.19457) keeps every candidate that is best on some slice and changes one of them at a
time; what it ends with has to pass the same gate as any other proposal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from veriloop.core.extra import needs_extra
from veriloop.engine.evolution import Candidate, Evidence, ProposalError, Search
from veriloop.engine.fitness import measure_fitness
from veriloop.engine.reflection import reflect
from veriloop.engine.stream import Item

SLICES = 4
"""Parts of the pilot that are scored apart."""
REFLECTED = 2
"""Slices that a proposal is made from and must do better on before the others are asked."""
PROPOSALS = 3
"""Proposals of one search; each costs at most one more pilot."""
_PLANS = "plans"


@dataclass(frozen=True, slots=True)
class GepaSearch:
    """Returns the best plan set that GEPA finds from the one in force. propose: who makes its proposals."""

    propose: Search = reflect

    def __call__(self, evidence: Evidence) -> Candidate:
        """Return the plan set; raises ProposalError when none did better than the one in force."""
        gepa: Any = import_gepa()
        slices = list(range(min(SLICES, len(evidence.items))))
        adapter = _Adapter(evidence, self.propose, gepa.EvaluationBatch)
        found = gepa.optimize(
            seed_candidate={_PLANS: adapter.start},
            trainset=slices,
            valset=slices,
            adapter=adapter,
            reflection_minibatch_size=min(REFLECTED, len(slices)),
            skip_perfect_score=False,
            stop_callbacks=lambda _state: adapter.proposals >= PROPOSALS,
            logger=_Silence(),
            seed=evidence.rng.randrange(2**31),
        )
        best = Candidate.model_validate_json(found.best_candidate[_PLANS])
        if not best.reasons:
            why = f": {adapter.trouble}" if adapter.trouble else ""
            raise ProposalError(f"none of {adapter.proposals} proposals does better on the pilot's slices{why}")
        return best


def import_gepa() -> Any:
    """Return the package; InputError where it is not installed."""
    with needs_extra("gepa"):
        import gepa
    return gepa


@dataclass(slots=True)
class _Adapter:
    """What GEPA asks: how good a text is on a slice, and for a better text.

    batch: GEPA's class of evaluations. trouble: why the last proposal that failed did.
    """

    evidence: Evidence
    propose: Search
    batch: Any
    proposals: int = 0
    trouble: str = ""
    made: dict[tuple[str, int], tuple[Item, ...]] = field(default_factory=dict)

    @property
    def start(self) -> str:
        return Candidate(pairs=self.evidence.pairs, workflow=self.evidence.workflow, reasons=()).model_dump_json()

    def evaluate(self, batch: list[int], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        text = candidate[_PLANS]
        scores = [measure_fitness(self.evidence.reach, self._make(text, number)).value for number in batch]
        return self.batch(outputs=scores, scores=scores, trajectories=list(batch) if capture_traces else None)

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        seen = zip(eval_batch.trajectories, eval_batch.scores, strict=True)
        return {_PLANS: [{"slice": number, "fitness": score} for number, score in seen]}

    def propose_new_texts(
        self,
        candidate: dict[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> dict[str, str]:
        self.proposals += 1
        text = candidate[_PLANS]
        old = Candidate.model_validate_json(text)
        items = tuple(item for record in reflective_dataset[_PLANS] for item in self._make(text, record["slice"]))
        evidence = replace(self.evidence, pairs=old.pairs, workflow=old.workflow, items=items)
        try:
            new = self.propose(evidence)
        except ProposalError as error:
            self.trouble = str(error)
            return candidate
        return {_PLANS: new.model_copy(update={"reasons": (*old.reasons, *new.reasons)}).model_dump_json()}

    def _make(self, text: str, number: int) -> tuple[Item, ...]:
        if (text, number) not in self.made:
            self.made[text, number] = self._try_out(text, number)
        return self.made[text, number]

    def _try_out(self, text: str, number: int) -> tuple[Item, ...]:
        items, candidate = self.evidence.items, Candidate.model_validate_json(text)
        low, high = (len(items) * edge // min(SLICES, len(items)) for edge in (number, number + 1))
        if not candidate.reasons:
            return items[low:high]
        assert self.evidence.try_out is not None
        return tuple(self.evidence.try_out(candidate, range(low, high)))


class _Silence:
    def log(self, message: str) -> None:
        pass
