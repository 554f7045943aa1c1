"""Synthesis into a run directory, from the name of a domain."""

from contextlib import closing
from pathlib import Path

import veriloop
from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain
from veriloop.domains.registry import full_name, load_domain
from veriloop.engine.plan import check_scope
from veriloop.engine.round import PilotProgress
from veriloop.engine.stream import Bench
from veriloop.engine.synthesize import Progress, SynthConfig, SynthResult, synthesize
from veriloop.llm.cache import Cache
from veriloop.pipeline.roles import Troupe, check_roles
from veriloop.proof.prove import render_checker_file
from veriloop.store.artefact import write_artefacts
from veriloop.store.manifest import write_manifest
from veriloop.store.run import create_run

CACHE = "cache.sqlite"
"""Answers of the run's models, beside its ledger."""


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
    if config.search == "llm" and "reflector" not in config.roles:
        raise InputError("--search llm needs a model as reflector; name one with --model or in the table of roles")
    check_roles(config.roles, max_usd)
    settings = {"domain": full_name(name), **config.model_dump(mode="json")}
    with create_run(out, settings, resume=resume) as run:
        run.ledger.put_meta("config", settings)
        run.ledger.put_meta("versions", {"veriloop": veriloop.__version__})
        with closing(Cache(out / CACHE if config.roles else None)) as cache:
            troupe = Troupe(domain, config.roles, cache, max_usd)
            bench = troupe.make_bench(verify=config.verify)
            try:
                result = synthesize(
                    run.ledger,
                    bench,
                    config,
                    run=str(out),
                    search=troupe.search(config.search),
                    progress=progress,
                    piloting=piloting,
                )
            finally:
                run.ledger.put_meta("spent", cache.add_up())
        result = result.model_copy(update={"spent": run.ledger.get_meta("spent")})
        write_artefacts(run, lambda task: render_checker_file(domain, task))
    write_manifest(out)
    return result


def make_bench(domain: Domain, *, verify: bool = True) -> Bench:
    """Return what scripted synthesis works with; where the domain has an expert, it demonstrates, else the oracle."""
    return Troupe(domain, {}, Cache()).make_bench(verify=verify)
