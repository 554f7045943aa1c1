"""Synthesis into a run directory, from the name of a domain."""

from collections.abc import Callable
from pathlib import Path

import veriloop
from veriloop.check.sandbox import shared_sandbox
from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain
from veriloop.domains.registry import full_name, load_domain
from veriloop.domains.task import Task
from veriloop.engine.evolution import Candidate, Evidence
from veriloop.engine.plan import check_scope
from veriloop.engine.role.model import RoleModel
from veriloop.engine.role.reflector import ModelReflector
from veriloop.engine.round import PilotProgress
from veriloop.engine.search import Search
from veriloop.engine.stream import Bench
from veriloop.engine.synthesize import Progress, SynthConfig, SynthResult, synthesize
from veriloop.llm.client import Client, Endpoint, Spent
from veriloop.llm.price import Budget, Price
from veriloop.proof.prove import render_checker_file
from veriloop.rollout.experts import EXPERTS, load_expert
from veriloop.rollout.oracle import Oracle
from veriloop.rollout.player import Player
from veriloop.rollout.scripted import ScriptedUser
from veriloop.store.artefact import write_artefacts
from veriloop.store.ledger import Ledger
from veriloop.store.manifest import write_manifest
from veriloop.store.run import create_run


def run_synthesis(
    name: str,
    out: Path,
    config: SynthConfig,
    *,
    resume: bool = False,
    max_usd: float | None = None,
    progress: Progress | None = None,
    piloting: PilotProgress | None = None,
) -> SynthResult:
    """Make or continue the run `out` and write its tasks, checkers and manifest.

    max_usd: dollars that the run's models may cost, what earlier sessions spent included; BudgetError beyond. Raises
    InputError before anything is written when the domain, its scope, a model or the directory cannot be used.
    """
    domain = load_domain(name)
    check_scope(domain, config.scope)
    check_reflector(config, max_usd)
    settings = {"domain": full_name(name), **config.model_dump(mode="json")}
    with create_run(out, settings, resume=resume) as run:
        run.ledger.put_meta("config", settings)
        run.ledger.put_meta("versions", {"veriloop": veriloop.__version__})
        search = make_search(domain, run.ledger, config.reflector, max_usd) if config.reflector.model else None
        bench = make_bench(domain, verify=config.verify)
        result = synthesize(
            run.ledger, bench, config, run=str(out), search=search, progress=progress, piloting=piloting
        )
        write_artefacts(run, lambda task: render_checker_file(domain, task))
    write_manifest(out)
    return result


def check_reflector(config: SynthConfig, max_usd: float | None) -> None:
    """Raise InputError when the model that is to propose cannot, or its cost cannot be limited, as it is given."""
    role = config.reflector
    if (config.search == "llm") != bool(role.model):
        raise InputError("--search llm and --model go together: the model is the one that proposes")
    if min(role.prices) < 0:
        raise InputError(f"--usd-per-mtok {role.prices} is negative; give what a million tokens cost")
    if max_usd is not None and not any(role.prices):
        raise InputError("--max-usd needs prices to count with; give --usd-per-mtok, of prompts and of completions")
    if role.base_url and not role.base_url.startswith(("http://", "https://")):
        raise InputError(f"--base-url {role.base_url!r} is no address; it looks like http://127.0.0.1:8000/v1")
    if role.prompts and not Path(role.prompts).is_dir():
        raise InputError(f"--prompts {role.prompts!r} is no folder; make one with a reflector.md in it")
    if role.model:
        Client(_point_to(role)).read_key()


def make_search(domain: Domain, ledger: Ledger, role: RoleModel, max_usd: float | None) -> Search:
    """Return the model that proposes changes of the plans; what it spends is added up in the ledger."""
    before: dict[str, dict[str, float]] = ledger.get_meta("spent", {})
    budget = Budget(max_usd, sum(spent["dollars"] for spent in before.values()))
    client = Client(_point_to(role), budget)
    reflector = ModelReflector(client, domain, prompts=Path(role.prompts) if role.prompts else None)

    def propose(evidence: Evidence) -> Candidate:
        try:
            return reflector(evidence)
        finally:
            ledger.put_meta("spent", before | {"reflector": _add_up(before.get("reflector", {}), client.spent)})

    return propose


def _point_to(role: RoleModel) -> Endpoint:
    return Endpoint(role.model, role.base_url or None, role.key_env, price=Price(*role.prices))


def _add_up(before: dict[str, float], spent: Spent) -> dict[str, float]:
    now = {
        "attempts": spent.attempts,
        "repeated": spent.repeated,
        "answers": spent.answers,
        "prompt_tokens": spent.usage.prompt,
        "completion_tokens": spent.usage.completion,
        "dollars": spent.dollars,
    }
    return {key: round(value + before.get(key, 0), 6) for key, value in now.items()}


def make_bench(domain: Domain, *, verify: bool = True) -> Bench:
    """Return what scripted synthesis works with; where the domain has an expert, it demonstrates, else the oracle."""
    return Bench(domain, shared_sandbox(), ScriptedUser(), _demonstrator(domain), verify)


def _demonstrator(domain: Domain) -> Callable[[Task], Player]:
    if domain.name in EXPERTS:
        expert = load_expert(domain.name)
        return lambda _task: expert
    return lambda task: Oracle(domain, {task.id: task})
