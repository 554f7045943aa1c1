"""`ablate rl`: does GRPO on the checkers' verdicts improve the agent beyond what more fine-tuning does?

For every seed: tasks, a trained user, an agent fine-tuned to its held-out minimum, then three ways on from there with
the same number of training tokens: GRPO, more of the same fine-tuning, fine-tuning on the agent's own successes. All
four are measured on tasks over databases never seen in training, with the same user, seeds and trials.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pydantic import Field

from veriloop.check.sandbox import judge
from veriloop.core.base import Frozen, derive_seed
from veriloop.core.errors import InputError
from veriloop.core.extra import needs_extra
from veriloop.core.metric import bootstrap_interval
from veriloop.domains.domain import Domain
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Task
from veriloop.engine.synthesize import SynthConfig
from veriloop.evaluate.own import EvalConfig, evaluate_tasks
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.pipeline.training import split_items, train_rl_on_run, train_sft_on_run
from veriloop.rollout.driver import play_batch
from veriloop.rollout.episode import Episode, Limits
from veriloop.store.artefact import read_tasks
from veriloop.store.file import read_json, write_json
from veriloop.store.result import iter_tasks
from veriloop.store.run import open_run

with needs_extra("train"):
    from veriloop.local.player import LocalPlayer
    from veriloop.local.thread import count_threads, set_threads
    from veriloop.train.data import Dialogue, write_result
    from veriloop.train.grpo import RlConfig
    from veriloop.train.metrics import TrainResult
    from veriloop.train.sft import SftConfig, train_sft

ARMS = ("sft", "rl", "sft-continued", "own-successes")
Progress = Callable[[int, int], None]
Step = tuple[str, Callable[[], Any]]


class AblationConfig(Frozen):
    """What every seed does.

    tasks: proved tasks for reinforcement. demonstrations: of their dialogues for fine-tuning, 0 for all. held_out:
    tasks over unseen databases that all arms are measured on, `trials` times each.
    """

    tasks: int = 800
    demonstrations: int = 0
    held_out: int = 120
    trials: int = 4
    model: str = "nano"
    user: SftConfig = SftConfig(steps=300, pretrain=100, batch=12, learning_rate=3e-3, eval_every=50)
    sft: SftConfig = SftConfig(steps=700, pretrain=100, batch=12, learning_rate=3e-3, eval_every=50)
    rl: RlConfig = RlConfig(steps=40, learning_rate=5e-4, cap=16, validate_every=10)
    workers: int = Field(default=2, ge=1)


def ablate_rl(
    domain: str, seeds: int, out: Path, config: AblationConfig, *, progress: Progress | None = None
) -> dict[str, Any]:
    """Run all seeds, `config.workers` at a time in processes of one thread each, and return the table.

    Every finished step is a file in `out`; a run that was stopped does not repeat it.
    """
    out.mkdir(parents=True, exist_ok=True)
    _check_settings(out, domain, config)
    done = 0
    context = get_context("spawn")
    with ProcessPoolExecutor(max_workers=min(config.workers, seeds), mp_context=context) as pool:
        threads = 1 if min(config.workers, seeds) > 1 else count_threads()
        futures = [pool.submit(run_seed, domain, seed, out / f"seed-{seed}", config, threads) for seed in range(seeds)]
        rows = []
        for seed, future in enumerate(futures):
            rows.append({"seed": seed, **future.result()})
            done += 1
            if progress:
                progress(done, seeds)
    result = {"table": rows, "arms": list(ARMS), "domain": domain, "config": config.model_dump(mode="json")}
    write_json(out / "table.json", result)
    return result


def run_seed(domain: str, seed: int, out: Path, config: AblationConfig, threads: int) -> dict[str, Any]:
    """Do one seed's steps in order and return its row of the table."""
    set_threads(threads)
    lab = _Lab(domain, seed, out, config)
    results = {name: _once(out / "steps" / f"{name}.json", work) for name, work in lab.steps()}
    return compare_arms({arm: results[f"eval-{arm}"] for arm in ARMS}, results, seed)


def compare_arms(evals: dict[str, dict[str, Any]], results: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return pass^1 of every arm and the paired differences to `sft`, with 95 % bootstrap intervals over tasks."""
    rates = {arm: _rates(found) for arm, found in evals.items()}
    row: dict[str, Any] = {"tasks": len(rates["sft"])}
    for arm in ARMS:
        row[arm] = {"pass_hat": evals[arm]["pass_hat"], "interval_95": evals[arm]["interval_95"]}
        if arm != "sft":
            differences = [rates[arm][task] - rates["sft"][task] for task in rates["sft"] if task in rates[arm]]
            row[arm]["minus_sft"] = sum(differences) / len(differences) if differences else None
            row[arm]["minus_sft_interval_95"] = bootstrap_interval(differences, seed=seed)
    row["sft_stopped_at_minimum"] = results["sft"]["metrics"]["stopped_at_minimum"]
    row["seconds"] = {name: found["seconds"] for name, found in results.items() if "seconds" in found}
    return row


def _rates(found: dict[str, Any]) -> dict[str, float]:
    return {task: sum(trials) / len(trials) for task, trials in found["per_task"].items() if trials}


class _Lab:
    """One seed's folder and the steps done in it."""

    def __init__(self, domain: str, seed: int, out: Path, config: AblationConfig) -> None:
        self.name, self.seed, self.out, self.config = domain, seed, out, config
        self.models = out / "models"

    def steps(self) -> Sequence[Step]:
        """Return the steps in order; the result of each is JSON."""
        config, seed = self.config, self.seed
        user = config.user.model_copy(update={"seed": seed})
        sft = config.sft.model_copy(update={"seed": seed})
        rl = config.rl.model_copy(update={"seed": seed})
        run, limit = self.out / "train", config.demonstrations
        user_model, sft_model = str(self.models / "user"), str(self.models / "sft")
        return [
            ("train-tasks", lambda: self._synthesise("train", config.tasks)),
            ("test-tasks", lambda: self._synthesise("test", config.held_out)),
            ("user", lambda: _dump(train_sft_on_run(run, "user", config.model, self.models / "user", user))),
            ("sft", lambda: _dump(
                train_sft_on_run(run, "agent", config.model, self.models / "sft", sft, limit=limit))),
            ("rl", lambda: _dump(train_rl_on_run(run, sft_model, user_model, self.models / "rl", rl))),
            ("sft-continued", self._continue_sft),
            ("own-successes", self._imitate_self),
            *[(f"eval-{arm}", lambda arm=arm: self._evaluate(arm)) for arm in ARMS],
        ]  # fmt: skip

    def _synthesise(self, split: str, count: int) -> dict[str, Any]:
        config = SynthConfig(n=count, seed=derive_seed(self.seed, split) % 2**31, split=split)
        out = self.out / split
        return _dump(run_synthesis(self.name, out, config, resume=(out / "run.toml").exists()))

    def _continue_sft(self) -> dict[str, Any]:
        config = self._control_config()
        return _dump(
            train_sft_on_run(
                self.out / "train", "agent", str(self.models / "sft"), self.models / "sft-continued", config,
                limit=self.config.demonstrations,
            )
        )  # fmt: skip

    def _imitate_self(self) -> dict[str, Any]:
        dialogues = self._own_successes()
        domain, out = load_domain(self.name), self.models / "own-successes"
        if not dialogues:
            # An agent that never passed has nothing to imitate and stays as it is.
            shutil.copytree(self.models / "sft", out, dirs_exist_ok=True)
            result = TrainResult(out=str(out), steps=0, tokens=0, seconds=0.0, metrics={"rows": 0})
            write_result(out, result.model_dump(mode="json"))
            return _dump(result)
        return _dump(train_sft(domain, "agent", self.models / "sft", (dialogues, []), out, self._control_config()))

    def _control_config(self) -> SftConfig:
        """Return fine-tuning for as many steps as make GRPO's number of trained tokens, without early stopping.

        GRPO counts the agent's own tokens, so the same are counted here: those with a label, not all that are read.
        """
        rl = read_json(self.out / "steps" / "rl.json")
        rows = read_json(self.out / "steps" / "sft.json")["metrics"]
        per_step = self.config.sft.batch * rows["own_tokens"] / rows["rows"]
        return self.config.sft.model_copy(
            update={
                "steps": max(1, round(rl["tokens"] / per_step)),
                "patience": 0,
                "learning_rate": self.config.sft.learning_rate / 10,
                "warmup": 5,
                "seed": self.seed,
            }
        )

    def _own_successes(self) -> list[Dialogue]:
        """Play the fine-tuned agent once on the tasks that GRPO trained on and return what passed."""
        with open_run(self.out / "train") as opened:
            tasks, _ = split_items(list(iter_tasks(opened)))
        domain, players = load_domain(self.name), self._players("sft")
        episodes = (Episode(domain, task, seed=derive_seed("own", self.seed), limits=self._limits()) for task in tasks)
        played = ((tasks[position], trace) for position, trace in play_batch(episodes, players, width=64))
        return [Dialogue(task, trace) for task, trace in played if judge(task, trace).passed]

    def _evaluate(self, arm: str) -> dict[str, Any]:
        domain: Domain = load_domain(self.name)
        tasks: list[Task] = list(read_tasks(self.out / "test"))
        config = EvalConfig(trials=self.config.trials, width=64, seed=self.seed, limits=self._limits())
        return evaluate_tasks(
            domain, tasks, self._players(arm), config, score=judge, out=self.out / "evals" / f"{arm}.json"
        )

    def _players(self, arm: str) -> dict[Any, Any]:
        return {
            "agent": LocalPlayer.load(self.models / arm, "agent"),
            "user": LocalPlayer.load(self.models / "user", "user"),
        }

    def _limits(self) -> Limits:
        return Limits(turns=self.config.rl.turns)


def _once(file: Path, work: Callable[[], Any]) -> Any:
    """Return a step's stored result, or do the step and store it."""
    if not file.exists():
        write_json(file, work())
    return read_json(file)


def _dump(result: Any) -> dict[str, Any]:
    return result.model_dump(mode="json")


def _check_settings(out: Path, domain: str, config: AblationConfig) -> None:
    """Refuse to mix results of other settings into a folder; how many work at once is no such setting."""
    file = out / "settings.json"
    settings = json.loads(json.dumps({"domain": domain, **config.model_dump(mode="json", exclude={"workers"})}))
    if file.exists() and read_json(file) != settings:
        raise InputError(f"{str(out)!r} holds an ablation with other settings; choose another --out")
    write_json(file, settings)
