"""A run's tasks beside the benchmark's own, stored with the run."""

from pathlib import Path

from veriloop.core.extra import needs_extra
from veriloop.domains.registry import load_domain
from veriloop.evaluate.fidelity import Fidelity, compare_profiles, profile_tasks
from veriloop.store.file import write_json
from veriloop.store.result import FIDELITY, iter_dialogues, iter_tasks
from veriloop.store.run import open_run


def measure_fidelity(run_path: Path, split: str = "base") -> Fidelity:
    """Compare a run's tasks with the official ones of a split and store the result for the report.

    Raises InputError where the run's domain is none of tau2's or has no such split.
    """
    with needs_extra("tau2"):
        from veriloop.evaluate.official import official_tasks
    with open_run(run_path) as run:
        domain = load_domain(run.domain)
        benchmark = [found.task for found in official_tasks(domain, split)]
        tasks = [task for _, task in iter_tasks(run)]
        sample = min(len(tasks), len(benchmark))
        official = profile_tasks(domain, benchmark, sample=sample)
        lengths = [len(dialogue.trace.turns) for dialogue in iter_dialogues(run)]
        turns = round(sum(lengths) / len(lengths), 2) if lengths else None
        ours = profile_tasks(domain, tasks, turns, sample=sample)
        found = compare_profiles(domain, split, ours, official)
        write_json(run_path / FIDELITY, found.model_dump(mode="json"))
    return found
