"""An agent from scratch on tau2's telecom in solo mode: `python bench/solo.py --out runs/solo`.

Makes tasks with tickets over invented databases (none has the customer, the ticket or what is broken together of an
official task: see the manifests), trains a model of about 2 M parameters on the expert's dialogues about them, and
measures it at temperature 0.7 on tasks over databases never seen and on the official base tasks, with the package's own
orchestrator and evaluator. Beside it: the expert, doing nothing, handing over at once. What is finished is not done
again: the same line goes on where it was stopped.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from veriloop.engine.synthesize import SynthConfig
from veriloop.evaluate.own import EvalConfig
from veriloop.pipeline.evaluation import Contest, Endpoint, run_evaluation, run_official_evaluation
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.pipeline.training import train_sft_on_run
from veriloop.store.file import read_json, write_json
from veriloop.train.sft import SftConfig

DOMAIN = "tau2/telecom"
OFFICIAL = Path("official:base")


def measure(out: Path, name: str, work: Callable[[], Any]) -> Any:
    """Do a step once: its result is kept with the minutes that it took, of the clock and of the processor."""
    file = out / f"{name}.step.json"
    if file.exists():
        return read_json(file)
    wall, cpu = time.monotonic(), time.process_time()
    found = work()
    minutes = {"minutes": (time.monotonic() - wall) / 60, "cpu_minutes": (time.process_time() - cpu) / 60}
    step = {**found.model_dump(mode="json"), **minutes} if hasattr(found, "model_dump") else {**found, **minutes}
    write_json(file, step)
    print(f"{name}: {minutes['minutes']:.1f} min ({minutes['cpu_minutes']:.1f} of the processor)", flush=True)
    return step


def synthesise(run: Path, n: int, seed: int, split: str) -> Any:
    config = SynthConfig(n=n, seed=seed, solo=True, evolve=False, split=split)
    return run_synthesis(DOMAIN, run, config, resume=run.exists())


def evaluate(agent: str, tasks: Path, out: Path, trials: int) -> Any:
    contest, config = Contest(DOMAIN, agent, "scripted", tasks), EvalConfig(trials=trials, width=32)
    heat = Endpoint(temperature=0.7)
    if tasks == OFFICIAL:
        return run_official_evaluation(contest, config, solo=True, endpoint=heat, out=out)
    return run_evaluation(contest, config, endpoint=heat, out=out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", type=int, default=4000, help="tasks to train on")
    parser.add_argument("--unseen", type=int, default=200, help="tasks over databases never seen")
    parser.add_argument("--steps", type=int, default=700, help="optimizer steps")
    parser.add_argument("--pretrain", type=int, default=100, help="steps on every token before that")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    # Two threads of torch on two cores are slower than one: the tensors are small.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    out, model = args.out, args.out / "model"
    train, unseen = out / "train", out / "unseen"
    config = SftConfig(
        steps=args.steps,
        pretrain=args.pretrain,
        learning_rate=3e-3,
        patience=0,
        length=2048,
        ids_only=True,
        seed=args.seed,
    )
    made = measure(out, "synthesis", lambda: synthesise(train, args.tasks, args.seed + 1, "train"))
    measure(out, "synthesis of unseen tasks", lambda: synthesise(unseen, args.unseen, args.seed + 2, "test"))
    learnt = measure(out, "training", lambda: train_sft_on_run(train, "agent", "mini", model, config))
    evals = out / "evals"
    table = {
        "model, unseen databases": measure(
            out, "unseen", lambda: evaluate(str(model), unseen, evals / "unseen.json", args.trials)
        ),
        "model, official": measure(
            out, "official", lambda: evaluate(str(model), OFFICIAL, evals / "official.json", args.trials)
        ),
        "expert, official": measure(out, "expert", lambda: evaluate("expert", OFFICIAL, evals / "expert.json", 1)),
    }
    floor = {f"{name}, official": value for name, value in table["model, official"]["baselines"].items()}
    scores = {name: found["pass_hat"] for name, found in table.items()} | {name: {"1": v} for name, v in floor.items()}
    parameters = sum(file.stat().st_size for file in model.glob("*.safetensors")) / 4e6
    summary = {
        "scores": scores,
        "parameters_millions": round(parameters, 2),
        "leakage": made["leakage"],
        "dropped_for_length": learnt["metrics"]["dropped_for_length"],
        "minutes": {
            file.name.removesuffix(".step.json"): read_json(file)["minutes"] for file in out.glob("*.step.json")
        },
    }
    write_json(out / "solo.json", summary)
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
