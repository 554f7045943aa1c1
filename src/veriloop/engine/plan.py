"""Plan pairs: what to synthesise and how to judge it. Plans and workflow are what evolves."""

import math
import random
from collections.abc import Mapping

from veriloop.core.base import Frozen, content_hash
from veriloop.core.errors import InputError
from veriloop.domains.defect import find_troubles
from veriloop.domains.domain import Domain, agent_actions

Weights = dict[str, float]
"""Relative weights by name; what is not named does not happen."""
Advice = dict[str, tuple[str, ...]]
"""Role -> lines."""


class SynthesisPlan(Frozen):
    """What one stream makes, each part as relative weights.

    tools: the tools that requests are about. tiers: single, compound, refusal and partial tasks; refusal is the
    no-write share. personas: how users talk. clauses: those that a refusal rests on. user_steps: of requests that begin
    with a step of the user's own, where those that do not weigh 1. guidelines: the same in words.
    """

    tools: Weights
    tiers: Weights
    personas: Weights
    clauses: Weights = {}
    user_steps: float = 1.0
    guidelines: str = ""


class RubricItem(Frozen):
    """One point a trajectory is judged by and the executed evidence that settles it."""

    id: str
    text: str


class EvaluationPlan(Frozen):
    """How tasks and dialogues of a stream are judged.

    rubric: ids of `proof.blame` rules that a dialogue must meet. guidelines: how verifiers that are models are to read
    tasks and dialogues, in words.
    """

    rubric: tuple[RubricItem, ...]
    guidelines: str = ""


class Workflow(Frozen):
    """The parameters of the way from draft to demonstration.

    attempts: drafts per item before it is given up. repairs: how often a draft goes back to who made it, with what was
    found, before the next attempt. rollouts: dialogues played of each proved task; those that fail are kept apart.
    advice: by role the lines that its model reads after its prompt; scripts read none.
    """

    attempts: int = 8
    repairs: int = 2
    rollouts: int = 1
    advice: Advice = {}


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

    @property
    def name(self) -> str:
        """Id and version, as items and tasks cite it."""
        return f"{self.id}@{self.version}"


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


REPAIR = "repair"
"""The tier of tasks in which something is broken; only of domains that declare what can be."""
TIERS = {"single": 5.0, "compound": 2.0, "refusal": 2.0, "partial": 1.0, REPAIR: 20.0}
"""Kinds of tasks with their usual weights."""


FACETS = ("tools", "tiers", "personas", "clauses")
"""The parts of a synthesis plan that hold weights."""


class Scope(Frozen):
    """What all plans keep to: names of write tools and of tiers; empty for all of the domain's."""

    tools: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()


class Reach(Frozen):
    """All that the plans of a domain can vary over within a scope, by facet, with the share wanted of each.

    tools: what people ask the agent for. clauses: those that a refusal can rest on, because a read shows why.
    user_tools: the user's own write tools. A facet's shares add up to 1; one that the domain does not have is empty.
    """

    tools: Weights
    tiers: Weights
    personas: Weights
    clauses: Weights
    user_tools: Weights


def find_reach(domain: Domain, scope: Scope | None = None) -> Reach:
    """Return what plans can vary over."""
    scope = scope or Scope()
    tools = [tool.name for tool in agent_actions(domain) if tool.name in scope.tools or not scope.tools]
    tiers = [name for name in list_tiers(domain) if name in scope.tiers or not scope.tiers]
    refuses = not {"refusal", "partial"}.isdisjoint(tiers)
    clauses = [c.id for c in domain.clauses if refuses and c.reads and not set(c.tools).isdisjoint(tools)]
    user_tools = [t.name for t in domain.tools.values() if t.seat == "user" and t.kind == "write"]
    return Reach(
        tools=share(dict.fromkeys(tools, 1.0)),
        tiers=share({name: TIERS[name] for name in tiers}),
        personas=share(dict.fromkeys(PERSONAS, 1.0)),
        clauses=share(dict.fromkeys(clauses, 1.0)),
        user_tools=share(dict.fromkeys(user_tools, 1.0)),
    )


def list_tiers(domain: Domain) -> list[str]:
    """Return the kinds of tasks that a domain can have."""
    return [name for name in TIERS if name != REPAIR or find_troubles(domain)]


def narrow_scope(domain: Domain) -> Scope:
    """Return the smallest part of a domain in which there is still something to do and something to refuse.

    That is single tasks and refusals of one write tool: the one with the fewest clauses that a refusal can rest on, of
    those with two or more, the first of equals. The whole domain where no tool has two.
    """
    counts = {tool.name: len(find_reach(domain, Scope(tools=(tool.name,))).clauses) for tool in agent_actions(domain)}
    fitting = [name for name, count in counts.items() if count > 1]
    if not fitting:
        return Scope()
    return Scope(tools=(min(fitting, key=counts.__getitem__),), tiers=("single", "refusal"))


def share(weights: Mapping[str, float]) -> Weights:
    """Return the weights scaled to add up to 1; nothing when there are none."""
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()} if total else {}


def draw(weights: Mapping[str, float], rng: random.Random) -> str:
    """Return a name drawn by weight, whatever order the weights are stored in.

    Every name runs a race at the speed of its weight. So where weights change a little, equal randomness mostly draws
    the same name, and two plan sets differ on as few orders of a pilot as their weights allow.
    """
    times = {name: rng.expovariate(1.0) / weights[name] if weights[name] else math.inf for name in sorted(weights)}
    return min(times, key=times.__getitem__)


def check_scope(domain: Domain, scope: Scope) -> None:
    """Raise InputError when the scope names what the domain or the engine does not have."""
    for kind, wanted, there in (
        ("action", scope.tools, [tool.name for tool in agent_actions(domain)]),
        ("tier", scope.tiers, list_tiers(domain)),
    ):
        if unknown := next((name for name in wanted if name not in there), None):
            raise InputError(f"{unknown!r} is no {kind} of {domain.name}; choose from {', '.join(there)}")
