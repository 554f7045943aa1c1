"""The steps of an ablation's seeds, done side by side; what is done already is not done again."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from pathlib import Path

from veriloop.core.base import Frozen
from veriloop.core.errors import InputError
from veriloop.pipeline.ablation.lab import Lab
from veriloop.store.file import read_json, write_json

Progress = Callable[[int, int], None]
"""(steps done, steps of all seeds)."""
Job = tuple[int, str]
"""A seed and one of its steps."""


def do_steps(labs: Mapping[int, Lab], pool: Executor, workers: int, progress: Progress | None = None) -> None:
    """Do every step of every seed, `workers` at a time, as soon as what it needs is done.

    All seeds go through the long steps first, so that no worker idles while another finishes the last seed alone.
    """
    needs = next(iter(labs.values())).needs
    jobs: list[Job] = [(seed, step) for step in needs for seed in labs]
    done = {(seed, step) for seed, step in jobs if labs[seed].has_done(step)}
    waiting = [job for job in jobs if job not in done]
    running: dict[Future[None], Job] = {}
    tell = progress or (lambda _done, _all: None)
    tell(len(done), len(jobs))
    while waiting or running:
        ready = [(seed, step) for seed, step in waiting if all((seed, need) in done for need in needs[step])]
        for seed, step in ready[: workers - len(running)]:
            waiting.remove((seed, step))
            running[pool.submit(labs[seed].do, step)] = (seed, step)
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            future.result()
            done.add(running.pop(future))
            tell(len(done), len(jobs))


def claim_folder(out: Path, what: str, domain: str, config: Frozen) -> None:
    """Make the folder of an ablation, or refuse to mix results of other settings into it."""
    file = out / "settings.json"
    settings = json.loads(json.dumps({"what": what, "domain": domain, **config.model_dump(mode="json")}))
    out.mkdir(parents=True, exist_ok=True)
    if file.exists() and read_json(file) != settings:
        raise InputError(f"{str(out)!r} holds an ablation with other settings; choose another --out")
    write_json(file, settings)
