"""What a run whose roles models play will use, from a rehearsal of some of its items by script; nothing is sent."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from veriloop.core.base import Frozen, canonical_json, derive_seed
from veriloop.core.errors import InputError
from veriloop.core.message import Usage
from veriloop.domains.domain import Domain
from veriloop.domains.registry import load_domain
from veriloop.engine.evolution import Evidence
from veriloop.engine.gepa import PROPOSALS
from veriloop.engine.plan import PlanPair, Workflow, check_scope, find_reach
from veriloop.engine.planner import list_focus, write_plans
from veriloop.engine.reflection import reflect
from veriloop.engine.rehearsal import Meter, MeteredPlayer, MeteredSynthesiser, StandIn, Use
from veriloop.engine.role.model import SOLVER, Role
from veriloop.engine.role.planner import ModelPlanner, PlanAnswer
from veriloop.engine.role.reflector import Edit, ModelReflector, Proposal
from veriloop.engine.role.synthesiser import ModelSynthesiser
from veriloop.engine.role.verifier import TaskReview, TraceReview
from veriloop.engine.round import Pilot, run_rounds
from veriloop.engine.search import SEARCHES
from veriloop.engine.stream import Bench, Item, make_item
from veriloop.engine.synthesize import SynthConfig, make_order
from veriloop.llm.client import Client
from veriloop.llm.price import Price
from veriloop.llm.structured import explain
from veriloop.pipeline.roles import Troupe
from veriloop.rollout.endpoint import EndpointPlayer
from veriloop.store.ledger import Ledger

ITEMS, PILOT = 96, 24
"""Items rehearsed, dealt to the plans, and those of each rehearsed pilot, at most."""
CHARS_PER_TOKEN = 4.0
"""Of English text and JSON, roughly, with the tokenizers of today's models."""
_SETTLED = TraceReview(success=True, evidence="Every request is settled.").model_dump_json()
ANSWERS: dict[Role, str] = {
    "task_verifier": TaskReview(good=True).model_dump_json(),
    "trajectory_verifier": _SETTLED,
    "judge": _SETTLED,
}
"""What stands for a verifier's answer."""


class RoleEstimate(Frozen):
    """What one role will use."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float


class Estimate(Frozen):
    """What a run will use; the keys of `estimate --json`. items: in all, of which pilot_items before the scale-up."""

    calls: int
    tokens: int
    usd: float
    items: int
    pilot_items: int
    roles: dict[str, RoleEstimate]


def estimate_run(
    name: str,
    config: SynthConfig,
    *,
    items: int = ITEMS,
    chars_per_token: float = CHARS_PER_TOKEN,
    progress: Callable[[int, int], None] | None = None,
) -> Estimate:
    """Return what `synth` with these settings will use; raises InputError when the domain or its scope cannot be used.

    Answers that models have to repeat, thoughts, and tasks that a solver finds too hard or easy are not in it.
    """
    domain = load_domain(name)
    check_scope(domain, config.scope)
    meter, pilots = Meter(), Meter()
    start = write_plans(domain, config.plans, config.scope, config.seed), Workflow()
    evolves = config.evolve
    if evolves:
        (pairs, workflow), piloted = _rehearse_pilots(domain, config, pilots, start)
    else:
        (pairs, workflow), piloted = start, 0
    bench, troupe = _set_up(domain, config, meter)
    made = _rehearse(bench, pairs, workflow, config, items, progress)
    accepted = sum(item.accepted for item in made)
    if not accepted:
        raise InputError(f"none of {items} rehearsed items of {domain.name!r} came to a proved task; see synth --json")
    wanted = math.ceil(config.n * len(made) / accepted)
    for role, use in meter.uses.items():
        meter.uses[role] = _scale(use, wanted / len(made))
    uses = _add_trials(_add(meter.uses, pilots.uses), config)
    if evolves and "reflector" in config.roles and config.search in ("llm", "gepa"):
        proposals = config.rounds * (PROPOSALS if config.search == "gepa" else 1)
        uses["reflector"] = _scale(_rehearse_reflector(domain, config, troupe, pairs, made), proposals)
    if "planner" in config.roles:
        uses["planner"] = _rehearse_planner(domain, config, troupe, start[0])
    return _add_up(config, uses, wanted + piloted, piloted, chars_per_token)


def _set_up(domain: Domain, config: SynthConfig, meter: Meter) -> tuple[Bench, Troupe]:
    """Return the bench on which scripts sit in the models' seats, and the models, whom nobody asks."""
    clients: dict[Role, Client] = {role: StandIn(role, meter, ANSWERS.get(role, "")) for role in config.roles}
    troupe = Troupe(domain, config.roles, clients=clients)
    models, scripts = (
        troupe.make_bench(verify=config.verify, writes_checkers=config.checkers == "model"),
        Troupe(domain, {}).make_bench(),
    )
    agent = scripts.agent

    def seat(player: Any, role: Role, model: Any) -> MeteredPlayer:
        guidelines = model.guidelines if isinstance(model, EndpointPlayer) else None
        return MeteredPlayer(player, role, meter, guidelines)

    bench = replace(
        models,
        user=seat(scripts.user, "user", models.user),
        agent=lambda task: seat(agent(task) if callable(agent) else agent, "agent", models.agent),
        planner=None,
        width=1,
        line=None,
    )
    if isinstance(models.synthesiser, ModelSynthesiser):
        bench = replace(bench, synthesiser=MeteredSynthesiser(scripts.synthesiser, models.synthesiser, meter))
    return bench, troupe


def _rehearse_pilots(
    domain: Domain, config: SynthConfig, meter: Meter, start: tuple[tuple[PlanPair, ...], Workflow]
) -> tuple[tuple[tuple[PlanPair, ...], Workflow], int]:
    """Run the rounds with small pilots and the scripted reflector; returns the plans after them and the real items."""
    reach, whole = find_reach(domain, config.scope), max(config.pilot, 2 * config.plans)
    size = max(min(config.pilot, PILOT), 2 * config.plans)
    plain, seed = config.speech == "plain", derive_seed("pilot", config.seed) % 2**31
    pilot = Pilot(seed, size, config.databases, plain=plain, alone=config.solo)
    bench, _ = _set_up(domain, config, meter)
    with TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger.sqlite") as ledger:
        search = SEARCHES["gepa" if config.search == "gepa" else "native"]
        pairs, workflow, _ = run_rounds(ledger, bench, reach, pilot, search, config.rounds, start)
        made = sum(1 for stage in ("pilot:", "held:", "trial:") for _ in ledger.entries(stage))
    for role, use in meter.uses.items():
        meter.uses[role] = _scale(use, whole / size)
    return (pairs, workflow), round(made * whole / size)


def _rehearse(
    bench: Bench,
    pairs: Sequence[PlanPair],
    workflow: Workflow,
    config: SynthConfig,
    count: int,
    progress: Callable[[int, int], None] | None,
) -> list[Item]:
    taken, made = set[str](), list[Item]()
    for number in range(count):
        pair = pairs[number * max(1, len(pairs) // count) % len(pairs)]
        # The run's own orders: its first items are the very ones that are rehearsed, as far as plans agree.
        order = make_order(config, config.seed, number, config.split)
        item = asyncio.run(make_item(bench, pair, workflow, order, taken.__contains__))
        taken |= {item.task.id} if item.task else set()
        made.append(item)
        if progress:
            progress(number + 1, count)
    return made


def _rehearse_planner(domain: Domain, config: SynthConfig, troupe: Troupe, pairs: Sequence[PlanPair]) -> Use:
    planner, reach, use = troupe.make_bench().planner, find_reach(domain, config.scope), Use()
    assert isinstance(planner, ModelPlanner)
    plans = [pair.synthesis for pair in pairs]
    for number, plan in enumerate(plans):
        use.calls += 1
        use.sent += len(planner.write_prompt(domain, reach, plans[:number], len(plans))) + len(explain(PlanAnswer))
        use.got += len(canonical_json({**list_focus(plan), "guidelines": plan.guidelines}))
    return use


def _rehearse_reflector(
    domain: Domain, config: SynthConfig, troupe: Troupe, pairs: Sequence[PlanPair], made: Sequence[Item]
) -> Use:
    reflector = troupe.search("llm")
    assert isinstance(reflector, ModelReflector)
    evidence = Evidence(find_reach(domain, config.scope), tuple(pairs), Workflow(), tuple(made))
    edits = [
        Edit(plan="all", facet="tools", name="a tool", factor=1.5, reason=reason)
        for reason in reflect(evidence).reasons
    ]
    answer = Proposal(edits=tuple(edits[:40]), attempts=None).model_dump_json()
    return Use(1, len(reflector.write_prompt(evidence)) + len(explain(Proposal)), len(answer))


def _add_trials(uses: Mapping[Role, Use], config: SynthConfig) -> dict[Role, Use]:
    """Return the uses with the dialogues of whoever tries the tasks, each as long as a demonstration."""
    found = dict(uses)
    if config.solver or SOLVER in config.roles:
        dialogues = config.trials / Workflow().rollouts
        found[SOLVER] = _scale(found["agent"], dialogues)
        found["user"] = _scale(found["user"], 1 + dialogues)
    return found


def _add(one: Mapping[Role, Use], other: Mapping[Role, Use]) -> dict[Role, Use]:
    found = dict(one)
    for role, use in other.items():
        here = found.get(role, Use())
        found[role] = Use(here.calls + use.calls, here.sent + use.sent, here.got + use.got)
    return found


def _scale(use: Use, factor: float) -> Use:
    return Use(round(use.calls * factor), round(use.sent * factor), round(use.got * factor))


def _add_up(
    config: SynthConfig, uses: Mapping[Role, Use], items: int, piloted: int, chars_per_token: float
) -> Estimate:
    roles: dict[str, RoleEstimate] = {}
    for role, model in config.roles.items():
        use = uses.get(role, Use())
        tokens = Usage(prompt=round(use.sent / chars_per_token), completion=round(use.got / chars_per_token))
        roles[role] = RoleEstimate(
            calls=use.calls,
            prompt_tokens=tokens.prompt,
            completion_tokens=tokens.completion,
            usd=Price(*model.prices).cost(tokens),
        )
    return Estimate(
        calls=sum(role.calls for role in roles.values()),
        tokens=sum(role.prompt_tokens + role.completion_tokens for role in roles.values()),
        usd=sum(role.usd for role in roles.values()),
        items=items,
        pilot_items=piloted,
        roles=roles,
    )
