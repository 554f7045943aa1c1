"""Synthesis into a run directory, from the name of a domain."""

from collections.abc import Callable
from pathlib import Path

import veriloop
from veriloop.check.sandbox import shared_sandbox
from veriloop.domains.domain import Domain
from veriloop.domains.registry import full_name, load_domain
from veriloop.domains.task import Task
from veriloop.engine.plan import check_scope
from veriloop.engine.stream import Bench
from veriloop.engine.synthesize import Progress, SynthConfig, SynthResult, synthesize
from veriloop.proof.prove import render_checker_file
from veriloop.rollout.experts import EXPERTS, load_expert
from veriloop.rollout.oracle import Oracle
from veriloop.rollout.player import Player
from veriloop.rollout.scripted import ScriptedUser
from veriloop.store.artefact import write_artefacts
from veriloop.store.manifest import write_manifest
from veriloop.store.run import create_run


def run_synthesis(
    name: str, out: Path, config: SynthConfig, *, resume: bool = False, progress: Progress | None = None
) -> SynthResult:
    """Make or continue the run `out` and write its tasks, checkers and manifest.

    Raises InputError before anything is written when the domain, its scope or the directory cannot be used.
    """
    domain = load_domain(name)
    check_scope(domain, config.scope)
    settings = {"domain": full_name(name), **config.model_dump(mode="json")}
    with create_run(out, settings, resume=resume) as run:
        run.ledger.put_meta("config", settings)
        run.ledger.put_meta("versions", {"veriloop": veriloop.__version__})
        result = synthesize(
            run.ledger, make_bench(domain, verify=config.verify), config, run=str(out), progress=progress
        )
        write_artefacts(run, lambda task: render_checker_file(domain, task))
    write_manifest(out)
    return result


def make_bench(domain: Domain, *, verify: bool = True) -> Bench:
    """Return what scripted synthesis works with; where the domain has an expert, it demonstrates, else the oracle."""
    return Bench(domain, shared_sandbox(), ScriptedUser(), _demonstrator(domain), verify)


def _demonstrator(domain: Domain) -> Callable[[Task], Player]:
    if domain.name in EXPERTS:
        expert = load_expert(domain.name)
        return lambda _task: expert
    return lambda task: Oracle(domain, {task.id: task})
