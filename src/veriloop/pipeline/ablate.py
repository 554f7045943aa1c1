"""`ablate rl`: does GRPO on the checkers' verdicts improve the agent beyond what more fine-tuning does?

For every seed: tasks, a trained user, an agent fine-tuned to its held-out minimum, then three ways on from there with
the same number of training tokens: GRPO, more of the same fine-tuning, fine-tuning on the agent's own successes. All
four are measured on tasks over databases never seen in training, with the same user, seeds and trials.
"""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from pathlib import Path
from typing import Any

from veriloop.core.errors import InputError
from veriloop.core.metric import bootstrap_interval
from veriloop.domains.registry import load_domain
from veriloop.engine.plan import check_scope
from veriloop.pipeline.lab import ARMS, NEEDS, AblationConfig, Lab
from veriloop.pipeline.worker import open_pool
from veriloop.store.file import read_json, write_json

Progress = Callable[[int, int], None]
"""(steps done, steps of all seeds)."""
Job = tuple[int, str]
"""A seed and one of its steps."""


def ablate_rl(
    domain: str, seeds: int, out: Path, config: AblationConfig, *, workers: int = 2, progress: Progress | None = None
) -> dict[str, Any]:
    """Do the steps of all seeds, `workers` at a time, and return the table.

    Every finished step is a file in `out`; a run that was stopped does not repeat it.
    """
    check_scope(load_domain(domain), config.scope)
    out.mkdir(parents=True, exist_ok=True)
    _check_settings(out, domain, config)
    labs = {seed: Lab(domain, seed, out / f"seed-{seed}", config) for seed in range(seeds)}
    with open_pool(workers) as pool:
        do_steps(labs, pool, workers, progress or (lambda _done, _all: None))
    rows = [
        {"seed": seed, **compare_arms({step: lab.read(step) for step in NEEDS}, seed)} for seed, lab in labs.items()
    ]
    result = {"table": rows, "arms": list(ARMS), "domain": domain, "config": config.model_dump(mode="json")}
    write_json(out / "table.json", result)
    return result


def compare_arms(results: dict[str, dict[str, Any]], seed: int) -> dict[str, Any]:
    """Return pass^1 of every arm and the paired differences to `sft`, with 95 % bootstrap intervals over tasks."""
    rates = {arm: _rates(results[f"eval-{arm}"]) for arm in ARMS}
    row: dict[str, Any] = {"tasks": len(rates["sft"])}
    for arm in ARMS:
        row[arm] = {key: results[f"eval-{arm}"][key] for key in ("pass_hat", "interval_95")}
        if arm != "sft":
            differences = [rates[arm][task] - rates["sft"][task] for task in rates["sft"] if task in rates[arm]]
            row[arm]["minus_sft"] = sum(differences) / len(differences) if differences else None
            row[arm]["minus_sft_interval_95"] = bootstrap_interval(differences, seed=seed)
    row["sft_stopped_at_minimum"] = results["sft"]["metrics"]["stopped_at_minimum"]
    row["seconds"] = {name: found["seconds"] for name, found in results.items() if "seconds" in found}
    return row


def _rates(found: dict[str, Any]) -> dict[str, float]:
    return {task: sum(trials) / len(trials) for task, trials in found["per_task"].items() if trials}


def do_steps(labs: Mapping[int, Lab], pool: Executor, workers: int, progress: Progress) -> None:
    """Do every step of every seed as soon as what it needs is done and a worker is free.

    All seeds go through the long steps first, so that no worker idles while another finishes the last seed alone.
    """
    jobs: list[Job] = [(seed, step) for step in NEEDS for seed in labs]
    done = {(seed, step) for seed, step in jobs if labs[seed].has_done(step)}
    waiting = [job for job in jobs if job not in done]
    running: dict[Future[None], Job] = {}
    progress(len(done), len(jobs))
    while waiting or running:
        ready = [(seed, step) for seed, step in waiting if all((seed, need) in done for need in NEEDS[step])]
        for seed, step in ready[: workers - len(running)]:
            waiting.remove((seed, step))
            running[pool.submit(labs[seed].do, step)] = (seed, step)
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            future.result()
            done.add(running.pop(future))
            progress(len(done), len(jobs))


def _check_settings(out: Path, domain: str, config: AblationConfig) -> None:
    """Refuse to mix results of other settings into a folder."""
    file = out / "settings.json"
    settings = json.loads(json.dumps({"domain": domain, **config.model_dump(mode="json")}))
    if file.exists() and read_json(file) != settings:
        raise InputError(f"{str(out)!r} holds an ablation with other settings; choose another --out")
    write_json(file, settings)
