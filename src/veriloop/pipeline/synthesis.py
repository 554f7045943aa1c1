"""Synthesis into a run directory, from the name of a domain."""

from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from pydantic import Field

import veriloop
from veriloop.core.base import Frozen
from veriloop.core.errors import InputError
from veriloop.domains.defect import find_troubles
from veriloop.domains.domain import Domain
from veriloop.domains.held_out import find_held_out
from veriloop.domains.registry import full_name, load_domain
from veriloop.engine.difficulty import Trial
from veriloop.engine.gepa import import_gepa
from veriloop.engine.plan import REPAIR, check_scope
from veriloop.engine.role.cast import AnyPlayer
from veriloop.engine.role.model import SOLVER, RoleModels
from veriloop.engine.round import Progress
from veriloop.engine.stream import Bench
from veriloop.engine.synthesize import SynthConfig, SynthResult, synthesize
from veriloop.llm.cache import Cache
from veriloop.pipeline.crew import CREWS, Executor, Site
from veriloop.pipeline.players import SEE_GOLD, Casting, find_player
from veriloop.pipeline.roles import STREAM_ROLES, Troupe, check_endpoints, check_roles
from veriloop.proof.prove import render_checker_file
from veriloop.store.artefact import write_artefacts
from veriloop.store.leakage import Leakage, check_leakage
from veriloop.store.manifest import write_manifest
from veriloop.store.result import iter_tasks
from veriloop.store.run import Run, create_run

CACHE = "cache.sqlite"
"""Answers of the run's models, beside its ledger."""


class Staff(Frozen):
    """Who makes the items of scripted roles: so many processes, of this machine or of a Ray cluster."""

    workers: int = Field(default=1, ge=1)
    executor: Executor = "local"


def run_synthesis(
    name: str,
    out: Path,
    config: SynthConfig,
    *,
    resume: bool = False,
    max_usd: float | None = None,
    staff: Staff | None = None,
    progress: Progress | None = None,
) -> SynthResult:
    """Make or continue the run `out` and write its tasks, checkers and manifest.

    max_usd: dollars that the run's models may cost, what earlier sessions spent included; BudgetError beyond. staff:
    what is made does not depend on it. Raises InputError before anything is written when the domain, its scope, a model
    or the directory cannot be used.
    """
    domain, staff = load_domain(name), staff or Staff()
    config = check_solo(domain, config)
    check_scope(domain, config.scope)
    if config.search == "llm" and "reflector" not in config.roles:
        raise InputError("--search llm needs a model as reflector; name one with --model or in the table of roles")
    if config.search == "gepa":
        import_gepa()
    if config.checkers == "model" and "synthesiser" not in config.roles:
        raise InputError("--checkers model needs a model as synthesiser; name one in the table of roles (--roles)")
    check_roles(config.roles, max_usd)
    check_staff(staff, config.roles)
    solver = find_solver(domain, config)
    if not resume:  # what is finished can be resumed when its models are gone
        check_endpoints(config.roles)
    settings = {"domain": full_name(name), **config.model_dump(mode="json")}
    with create_run(out, settings, resume=resume) as run, ExitStack() as stack:
        run.ledger.put_meta("config", settings)
        run.ledger.put_meta("versions", {"veriloop": veriloop.__version__})
        cache = stack.enter_context(closing(Cache(out / CACHE if config.roles else None)))
        troupe = Troupe(domain, config.roles, cache, max_usd=max_usd)
        solver = troupe.find_player(SOLVER) or solver
        trial = Trial(solver, config.band, config.trials) if solver else None
        bench = troupe.make_bench(
            verify=config.verify, trial=trial, slips=config.slips, writes_checkers=config.checkers == "model"
        )
        if staff != Staff():
            site = Site(full_name(name), config.verify, config.solver, config.band, config.trials, config.slips)
            crew = CREWS[staff.executor](site, staff.workers)
            bench = replace(bench, crew=stack.enter_context(closing(crew)))
        try:
            search = troupe.search(config.search)
            result = synthesize(run.ledger, bench, config, run=str(out), search=search, progress=progress)
        finally:
            run.ledger.put_meta("spent", cache.add_up())
        leakage = _check_run(run, domain)
        result = result.model_copy(update={"spent": run.ledger.get_meta("spent"), "leakage": leakage})
        write_artefacts(run, lambda task: render_checker_file(domain, task))
    write_manifest(out, leakage)
    return result


def check_solo(domain: Domain, config: SynthConfig) -> SynthConfig:
    """Return the settings, kept to the tasks that can have a ticket where one is wanted.

    Raises InputError where the domain has no tickets, or other tasks are named.
    """
    if not config.solo:
        return config
    troubles = find_troubles(domain)
    if troubles is None or troubles.write_ticket is None:
        raise InputError(f"{domain.name} has no tickets for an agent who works alone; leave out --solo")
    if set(config.scope.tiers) - {REPAIR}:
        raise InputError(f"--solo makes tasks of the tier {REPAIR!r} alone; leave out --only-tiers")
    return config.model_copy(update={"scope": config.scope.model_copy(update={"tiers": (REPAIR,)})})


def _check_run(run: Run, domain: Domain) -> Leakage | None:
    """Compare all tasks of a run, those made earlier included, with what its domain holds out."""
    held_out = find_held_out(domain)
    return check_leakage((task for _, task in iter_tasks(run)), held_out) if held_out else None


def check_staff(staff: Staff, roles: RoleModels) -> None:
    """Raise InputError when items are to be made elsewhere whose models are asked from here."""
    if staff != Staff() and (models := [role for role in STREAM_ROLES if role in roles]):
        raise InputError(
            f"--workers and --executor spread scripted work; the {models[0]} is a model, whose items wait for its "
            "endpoint side by side in one process (`width` in the table of roles)"
        )


def find_solver(domain: Domain, config: SynthConfig) -> AnyPlayer | None:
    """Return the player named to try tasks; None where nobody or a model is to.

    Raises InputError for a name that is none or sees the gold, and for settings that do not go together.
    """
    low, high = config.band
    if not 0 <= low <= high <= 1:
        raise InputError(f"--band {low:g} {high:g} is no band; it goes from a lower to a higher share between 0 and 1")
    if not config.solver:
        return None
    if SOLVER in config.roles:
        raise InputError(f"two solvers are named, {config.solver!r} and the table's [solver]; leave one out")
    if config.solver in SEE_GOLD:
        raise InputError(f"--solver {config.solver}: who sees the gold cannot tell how hard a task is; name another")
    if config.solver.startswith("openai:"):
        raise InputError(
            f"--solver {config.solver}: give a model as [solver] in the table of roles (--roles FILE.toml)"
        )
    return find_player(config.solver, "agent", Casting(domain))


def make_bench(domain: Domain, *, verify: bool = True) -> Bench:
    """Return what scripted synthesis works with; where the domain has an expert, it demonstrates, else the oracle."""
    return Troupe(domain, {}).make_bench(verify=verify)
