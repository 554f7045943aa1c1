"""Plan pairs: what to synthesise and how to judge it. Plans and workflow are what evolves."""

from veriloop.core.base import Frozen, content_hash
from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain, agent_writes


class SynthesisPlan(Frozen):
    """What one stream makes.

    tools: relative weight of each write tool. tiers: relative weight of single, compound, refusal and partial tasks;
    refusal is the no-write share. personas: how users talk. clauses: relative weight of the clauses that a refusal
    rests on; a clause not named weighs 1.
    """

    tools: dict[str, float]
    tiers: dict[str, float]
    personas: tuple[str, ...]
    clauses: dict[str, float] = {}
    guidelines: str = ""


class RubricItem(Frozen):
    """One point a trajectory is judged by and the executed evidence that settles it."""

    id: str
    text: str


class EvaluationPlan(Frozen):
    """How tasks and dialogues of a stream are judged.

    rubric: ids of `engine.verification` rules that a dialogue must meet. band: the solver's pass rate that makes a
    task worth training on (from, to).
    """

    rubric: tuple[RubricItem, ...]
    band: tuple[float, float] = (0.2, 0.85)


class Workflow(Frozen):
    """The ordered stages and their parameters.

    attempts: drafts per item before it is given up. rollouts: demonstrations per proved task.
    """

    stages: tuple[str, ...] = ("synth", "proof", "rollout", "verdict")
    attempts: int = 8
    rollouts: int = 1


class PlanPair(Frozen):
    """A synthesis plan with its evaluation plan, by id and version."""

    id: str
    version: int = 0
    synthesis: SynthesisPlan
    evaluation: EvaluationPlan

    @property
    def hash(self) -> str:
        """Content hash of the pair."""
        return content_hash(self.model_dump(mode="json"))


PERSONAS = {
    "terse": "You are brief: you answer what you are asked and no more.",
    "open": "You are open: you say at once what you want and all that belongs to it.",
    "polite": "You are polite and a little chatty, and you answer questions willingly.",
    "hurried": "You are in a hurry and want this done fast.",
}

RUBRIC = (
    RubricItem(id="goal_told", text="The user told everything that the task needs."),
    RubricItem(id="nothing_contradicted", text="The user said nothing that its script contradicts."),
    RubricItem(id="no_early_stop", text="The user did not stop before every request was settled."),
    RubricItem(id="clauses_kept", text="Every change the agent made was allowed by every clause, dialogue included."),
)


TIERS = {"single": 5.0, "compound": 2.0, "refusal": 2.0, "partial": 1.0}
"""Kinds of tasks with their usual weights."""


class Scope(Frozen):
    """What all plans keep to: names of write tools and of tiers; empty for all of the domain's."""

    tools: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()


def write_plans(domain: Domain, count: int = 2, scope: Scope | None = None) -> tuple[PlanPair, ...]:
    """Write plan pairs one after the other: each takes the tools and personas that the earlier ones used least.

    Together they cover every write tool of the agent within the scope. The first leans on changes, the second on
    refusals, and so on.
    """
    scope = scope or Scope()
    tools = [tool.name for tool in agent_writes(domain) if tool.name in scope.tools or not scope.tools]
    names = list(PERSONAS)
    pairs = []
    for number in range(count):
        emphasis = tools[number::count]
        firm = number % 2 == 1
        tiers = TIERS | {"refusal": 4.0} if firm else TIERS
        plan = SynthesisPlan(
            tools={name: 2.0 if name in emphasis else 1.0 for name in tools},
            tiers={name: weight for name, weight in tiers.items() if name in scope.tiers or not scope.tiers},
            personas=tuple(names[(number * 2 + step) % len(names)] for step in range(2)),
            guidelines="Lean on refusals." if firm else "Lean on changes that the policy allows.",
        )
        pairs.append(PlanPair(id=f"plan-{number}", synthesis=plan, evaluation=EvaluationPlan(rubric=RUBRIC)))
    return tuple(pairs)


def check_scope(domain: Domain, scope: Scope) -> None:
    """Raise InputError when the scope names what the domain or the engine does not have."""
    for kind, wanted, there in (
        ("write tool", scope.tools, [tool.name for tool in agent_writes(domain)]),
        ("tier", scope.tiers, list(TIERS)),
    ):
        if unknown := next((name for name in wanted if name not in there), None):
            raise InputError(f"{unknown!r} is no {kind} of {domain.name}; choose from {', '.join(there)}")
