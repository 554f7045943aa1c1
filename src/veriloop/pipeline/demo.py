"""The whole chain on the parcel domain: tasks, proofs, dialogues, both seats fine-tuned, GRPO, measurement, report."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from veriloop.check.verdict import give_verdict
from veriloop.core.base import Frozen
from veriloop.core.extra import needs_extra
from veriloop.core.message import Seat
from veriloop.domains.registry import load_domain
from veriloop.engine.synthesize import SynthConfig
from veriloop.evaluate.own import EvalConfig, evaluate_tasks
from veriloop.pipeline.players import AnyPlayer, Casting, find_player
from veriloop.pipeline.synthesis import Staff, run_synthesis
from veriloop.rollout.episode import Limits
from veriloop.store.artefact import read_tasks
from veriloop.store.file import read_json, write_json
from veriloop.store.manifest import write_manifest

with needs_extra("train"):
    from veriloop.pipeline.training import RlConfig, SeatJob, SftConfig, train_rl_on_run, train_seats

DOMAIN = "parcel"
CREW = Staff(workers=2)
"""Who proves the training tasks: as many processes as train models later."""
AGENTS = ("noop", "random", "sft", "rl")
Progress = Callable[..., None]
"""Called with (done, wanted), and with what is being done where a step has parts."""


class DemoConfig(Frozen):
    """How much of everything: training tasks, held-out tasks over unseen databases, training of each model."""

    tasks: int = 500
    held_out: int = 40
    trials: int = 4
    seed: int = 0
    model: str = "nano"
    user: SftConfig = SftConfig(steps=180, pretrain=100, batch=12, learning_rate=3e-3, eval_every=60)
    sft: SftConfig = SftConfig(steps=240, pretrain=100, batch=12, learning_rate=3e-3, eval_every=80)
    rl: RlConfig = RlConfig(steps=6, cap=10, learning_rate=2e-4, kl=0.3, validate_every=0)


QUICK = DemoConfig(
    tasks=80,
    held_out=10,
    trials=2,
    user=SftConfig(steps=40, learning_rate=3e-3, eval_every=20, batch=8),
    sft=SftConfig(steps=40, learning_rate=3e-3, eval_every=20, batch=8),
    rl=RlConfig(steps=2, groups=2, size=4, cap=4, validate_every=0),
)


def run_demo(
    out: Path, config: DemoConfig, *, resume: bool = False, report: Callable[[str], Progress | None] | None = None
) -> dict[str, Any]:
    """Run the chain into the run directory `out` and return what came of it (the keys of `demo --json`).

    report: called with the name of each step, returns the callback of its progress. A finished step is not repeated.
    """
    tell = report or (lambda _step: None)
    start = time.monotonic()
    synthesis = SynthConfig(n=config.tasks, seed=config.seed, speech="plain")
    made = run_synthesis(DOMAIN, out, synthesis, resume=resume, staff=CREW, progress=tell("proving tasks"))
    held_out = out / "held_out"
    unseen = SynthConfig(n=config.held_out, seed=config.seed, evolve=False, split="test", speech="plain")
    run_synthesis(DOMAIN, held_out, unseen, resume=resume, progress=tell("proving held-out tasks"))
    models = out / "models"
    tell("fine-tuning user and agent")
    train_seats(
        [
            SeatJob(out, "user", config.model, models / "user", config.user),
            SeatJob(out, "agent", config.model, models / "sft", config.sft),
        ]
    )
    if not (models / "rl" / "result.json").exists():
        folders = str(models / "sft"), str(models / "user")
        train_rl_on_run(out, *folders, models / "rl", config.rl, progress=tell("reinforcement"))
    evals = {name: _evaluate(out, name, config, tell(f"measuring {name}")) for name in AGENTS}
    seconds = round(_total_seconds(out, time.monotonic() - start, resume=resume), 1)
    write_manifest(out)
    return {
        "run": str(out),
        "proved": made.proved,
        "mutation_score": made.mutation_score,
        "rounds": made.model_dump(mode="json")["rounds"],
        "pass_hat": {name: found["pass_hat"] for name, found in evals.items()},
        "interval_95": {name: found["interval_95"] for name, found in evals.items()},
        "held_out": config.held_out,
        "seconds": seconds,
    }


def _evaluate(out: Path, name: str, config: DemoConfig, progress: Progress | None) -> dict[str, Any]:
    """Measure one agent against the trained user on tasks over databases that nothing was trained on."""
    domain = load_domain(DOMAIN)
    casting = Casting(domain)
    folder = out / "models" / name
    players: dict[Seat, AnyPlayer] = {
        "agent": find_player(str(folder) if folder.is_dir() else name, "agent", casting),
        "user": find_player(str(out / "models" / "user"), "user", casting),
    }
    settings = EvalConfig(trials=config.trials, width=64, seed=config.seed, limits=Limits(turns=config.rl.turns))
    tasks = list(read_tasks(out / "held_out"))
    file = out / "evals" / f"{name}.json"
    return evaluate_tasks(
        domain, tasks, players, settings, score=partial(give_verdict, domain), out=file, progress=progress
    )


def _total_seconds(out: Path, seconds: float, *, resume: bool) -> float:
    """Return the time of all runs that led here, which a resumed demo adds up."""
    file = out / "demo.json"
    total = seconds + (read_json(file)["seconds"] if resume and file.exists() else 0.0)
    write_json(file, {"seconds": total})
    return total
