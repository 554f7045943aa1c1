"""Probing models before they work: five graded cases for each role, against the endpoints they will be asked at."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from veriloop.core.base import Frozen, derive_seed
from veriloop.core.errors import InputError, PlayerError
from veriloop.domains.domain import Domain
from veriloop.domains.registry import load_domain
from veriloop.engine.evolution import Evidence
from veriloop.engine.plan import Workflow, find_reach
from veriloop.engine.planner import write_plans
from veriloop.engine.probe import (
    CASES,
    Case,
    probe_agent,
    probe_planner,
    probe_reflector,
    probe_synthesiser,
    probe_task_verifier,
    probe_trajectory_verifier,
    probe_user,
)
from veriloop.engine.role.model import ROLES, Role, RoleModels
from veriloop.engine.role.planner import ModelPlanner
from veriloop.engine.role.reflector import ModelReflector
from veriloop.engine.role.verifier import ModelVerifier
from veriloop.engine.setting import Order
from veriloop.engine.stream import make_item
from veriloop.llm.cache import Cache
from veriloop.pipeline.roles import Troupe, check_endpoints, check_roles
from veriloop.rollout.endpoint import EndpointPlayer

ITEMS = 16
"""Items made by script, from which cases are taken."""
Progress = Callable[[int, int], None]


class Answered(Frozen):
    """What came of one case. wrong: what was wrong with the answer, empty when it is right."""

    case: str
    wrong: str
    seconds: float


class RoleProbe(Frozen):
    """How a role's model did. spent: attempts, answers, tokens and dollars."""

    right: int
    cases: tuple[Answered, ...]
    spent: dict[str, float]


class Probe(Frozen):
    """How all models did; the keys of `probe --json`. ok: every role has enough right answers."""

    ok: bool
    roles: dict[str, RoleProbe]


def probe_roles(
    name: str, roles: RoleModels, *, least: int = 4, max_usd: float | None = None, progress: Progress | None = None
) -> Probe:
    """Ask every role's model its cases, all at once.

    A solver, who may be weak, and a judge, who decides nothing, have none. least: right answers that a role needs.
    Raises InputError when there is no model to ask, an endpoint refuses the model's name or key, or a setting cannot
    work; BudgetError beyond `max_usd` dollars.
    """
    domain = load_domain(name)
    asked: RoleModels = {role: roles[role] for role in ROLES if role in roles}
    if not asked:
        raise InputError("no role is played by a model; name one with --roles llm --model M or in a table of roles")
    check_roles(asked, max_usd)
    check_endpoints(asked)
    cache = Cache()
    troupe = Troupe(domain, asked, cache, max_usd=max_usd)
    cases = _build_cases(domain, troupe, asked)
    answered = asyncio.run(_ask_all(troupe, cases, progress))
    spent = cache.add_up()
    found = {
        role: RoleProbe(
            right=sum(not answer.wrong for answer in answers), cases=tuple(answers), spent=spent.get(role, {})
        )
        for role, answers in answered.items()
    }
    return Probe(ok=all(role.right >= least for role in found.values()), roles=found)


async def _ask_all(
    troupe: Troupe, cases: Mapping[Role, Sequence[Case]], progress: Progress | None
) -> dict[Role, list[Answered]]:
    done, count = 0, sum(map(len, cases.values()))

    async def ask(case: Case) -> Answered:
        nonlocal done
        start = time.monotonic()
        try:
            wrong = await case.ask()
        except PlayerError as error:
            wrong = str(error)
        done += 1
        if progress:
            progress(done, count)
        return Answered(case=case.name, wrong=wrong, seconds=round(time.monotonic() - start, 3))

    asked, answered = dict[Role, list[asyncio.Task[Answered]]](), dict[Role, list[Answered]]()
    try:
        async with asyncio.TaskGroup() as group:
            for role, found in cases.items():
                asked[role] = [group.create_task(ask(case)) for case in found]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        await troupe.close()
    for role, tasks in asked.items():
        answered[role] = [task.result() for task in tasks]
    return answered


def _build_cases(domain: Domain, troupe: Troupe, roles: RoleModels) -> dict[Role, list[Case]]:
    models, scripts = troupe.make_bench(), Troupe(domain, {}).make_bench()
    pairs, reach = write_plans(domain, CASES), find_reach(domain)
    orders = [Order(derive_seed("probe") % 2**31, number) for number in range(ITEMS)]
    items = [
        asyncio.run(make_item(scripts, pairs[order.item % len(pairs)], Workflow(), order, lambda _: False))
        for order in orders
    ]
    proved = [item for item in items if item.task]
    cases: dict[Role, list[Case]] = {}
    if isinstance(models.planner, ModelPlanner):
        cases["planner"] = list(probe_planner(models.planner, domain, reach, pairs))
    if "synthesiser" in roles:
        cases["synthesiser"] = list(probe_synthesiser(replace(scripts, synthesiser=models.synthesiser), pairs))
    if isinstance(models.task_verifier, ModelVerifier):
        cases["task_verifier"] = list(probe_task_verifier(models.task_verifier, pairs[0], domain, proved))
    if isinstance(models.user, EndpointPlayer):
        cases["user"] = list(probe_user(models.user, domain, proved))
    if isinstance(models.agent, EndpointPlayer):
        cases["agent"] = list(probe_agent(models.agent, domain, proved))
    if isinstance(models.trajectory_verifier, ModelVerifier):
        verifier = models.trajectory_verifier
        cases["trajectory_verifier"] = list(probe_trajectory_verifier(verifier, pairs[0], scripts, proved))
    reflector = troupe.search("llm")
    if isinstance(reflector, ModelReflector):
        evidence = Evidence(reach, pairs, Workflow(), tuple(proved))
        cases["reflector"] = list(probe_reflector(reflector, evidence))
    return cases
