"""`ablate rl`: does GRPO on the checkers' verdicts improve the agent beyond what more fine-tuning does?

For every seed: tasks, a trained user, an agent fine-tuned to its held-out minimum, then three ways on from there with
the same number of training tokens: GRPO, more of the same fine-tuning, fine-tuning on the agent's own successes. All
four are measured on tasks over databases never seen in training, with the same user, seeds and trials.
"""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from veriloop.check.verdict import give_verdict
from veriloop.core.base import Frozen, derive_seed
from veriloop.core.extra import needs_extra
from veriloop.domains.registry import load_domain
from veriloop.engine.plan import Scope, check_scope
from veriloop.engine.synthesize import SynthConfig
from veriloop.evaluate.own import EvalConfig, evaluate_tasks
from veriloop.pipeline.ablation.lab import Lab, Work
from veriloop.pipeline.ablation.queue import Progress, claim_folder, do_steps
from veriloop.pipeline.ablation.table import compare_arms
from veriloop.pipeline.training import Choice, split_items, train_rl_on_run, train_sft_on_run
from veriloop.pipeline.worker import open_pool
from veriloop.rollout.driver import play_batch
from veriloop.rollout.episode import Episode, Limits
from veriloop.store.artefact import read_tasks
from veriloop.store.file import write_json
from veriloop.store.result import iter_tasks
from veriloop.store.run import open_run

with needs_extra("train"):
    from veriloop.local.player import LocalPlayer
    from veriloop.train.data import Dialogue, write_result
    from veriloop.train.grpo import RlConfig
    from veriloop.train.metrics import TrainResult
    from veriloop.train.sft import SftConfig, train_sft

BASE = "sft"
ARMS = (BASE, "rl", "sft-continued", "own-successes")


class RlAblation(Frozen):
    """What every seed does.

    scope: the write tools and tiers that all tasks keep to; the fewer, the less there is to learn in the same time.
    tasks: proved tasks for reinforcement. demonstrations: of their dialogues to fine-tune the agent on, 0 for all.
    held_out: tasks over unseen databases that all arms are measured on, `trials` times each.
    """

    scope: Scope = Scope()
    tasks: int
    demonstrations: int = Field(default=0, ge=0)
    held_out: int
    trials: int = 4
    model: str = "nano"
    user: SftConfig = SftConfig(steps=300, pretrain=100, batch=12, learning_rate=3e-3, eval_every=50)
    sft: SftConfig = SftConfig(steps=700, pretrain=100, batch=12, learning_rate=3e-3, eval_every=25)
    # No refill: it would play few dialogues in as many decoding steps as many take. The divergence is weighed because
    # without it 14 steps at 6e-4 took an agent from 0.34 to 0.15 on all that its reward, a turn of phrase, left out.
    # The last weights are kept: choosing among a few noisy validations would add luck to what is measured.
    rl: RlConfig = RlConfig(steps=70, groups=12, cap=12, learning_rate=8e-4, kl=0.3, validate_every=0)


def ablate_rl(
    domain: str, seeds: int, out: Path, *, config: RlAblation, workers: int = 2, progress: Progress | None = None
) -> dict[str, Any]:
    """Do the steps of all seeds, `workers` at a time, and return the table; see `ablate_from_sft`."""
    labs = {seed: RlLab(domain, seed, out / f"seed-{seed}", config) for seed in range(seeds)}
    return ablate_from_sft(labs, domain, out, config, workers=workers, progress=progress)


def ablate_from_sft(
    labs: Mapping[int, "RlLab"],
    domain: str,
    out: Path,
    config: RlAblation,
    *,
    workers: int,
    progress: Progress | None,
) -> dict[str, Any]:
    """Do the steps of the labs of all seeds, whose arms are compared with fine-tuning alone.

    Every finished step is a file in `out`; a run that was stopped does not repeat it.
    """
    lab = next(iter(labs.values()))
    check_scope(load_domain(domain), config.scope)
    claim_folder(out, lab.what, domain, config)
    with open_pool(workers) as pool:
        do_steps(labs, pool, workers, progress)
    result = {
        "what": lab.what,
        "table": [{"seed": seed, **lab.compare()} for seed, lab in labs.items()],
        "arms": list(lab.arms),
        "base": BASE,
        "domain": domain,
        "config": config.model_dump(mode="json"),
    }
    write_json(out / "table.json", result)
    return result


class RlLab(Lab):
    """One seed of `ablate rl`. what: the ablation's name. arms: the agents that are measured.

    Tasks come before all training: a scope that offers too few of them is found out in the first minutes.
    """

    what: ClassVar[str] = "rl"
    arms: ClassVar[tuple[str, ...]] = ARMS

    needs: ClassVar = {
        "train-tasks": (),
        "test-tasks": (),
        "sft": ("train-tasks",),
        "user": ("train-tasks",),
        "rl": ("sft", "user"),
        "sft-continued": ("rl",),
        "own-successes": ("rl",),
        **{f"eval-{arm}": (arm, "user", "test-tasks") for arm in ARMS},
    }

    def __init__(self, domain: str, seed: int, out: Path, config: RlAblation) -> None:
        super().__init__(domain, seed, out)
        self.config = config

    def work(self) -> dict[str, Work]:
        """Return what does each step."""
        return {
            "train-tasks": lambda: self._synthesise("train", self.config.tasks),
            "test-tasks": lambda: self._synthesise("test", self.config.held_out),
            "user": self._tune_user,
            "sft": self._tune_agent,
            "rl": self._reinforce,
            "sft-continued": self._continue_sft,
            "own-successes": self._imitate_self,
            **{f"eval-{arm}": lambda arm=arm: self._evaluate(arm) for arm in ARMS},
        }

    def compare(self) -> dict[str, Any]:
        """Return this seed's row of the table, once all is done."""
        results = {step: self.read(step) for step in self.needs}
        row = compare_arms({arm: results[f"eval-{arm}"] for arm in self.arms}, BASE, seed=self.seed)
        row["sft_stopped_at_minimum"] = results["sft"]["metrics"]["stopped_at_minimum"]
        row["seconds"] = {name: found["seconds"] for name, found in results.items() if "seconds" in found}
        return row

    def _synthesise(self, split: str, count: int) -> dict[str, Any]:
        seed = derive_seed(self.seed, split) % 2**31
        config = SynthConfig(n=count, seed=seed, split=split, scope=self.config.scope, speech="plain")
        return self.synthesise(split, config)

    def _tune_user(self) -> dict[str, Any]:
        config = self.config.user.model_copy(update={"seed": self.seed})
        return _dump(train_sft_on_run(self.out / "train", "user", self.config.model, self.models / "user", config))

    def _tune_agent(self) -> dict[str, Any]:
        config = self.config.sft.model_copy(update={"seed": self.seed})
        return self._tune_on_demonstrations(self.config.model, "sft", config)

    def _reinforce(self) -> dict[str, Any]:
        config = self.config.rl.model_copy(update={"seed": self.seed})
        agent, user = str(self.models / "sft"), str(self.models / "user")
        return _dump(train_rl_on_run(self.out / "train", agent, user, self.models / "rl", config))

    def _continue_sft(self) -> dict[str, Any]:
        return self._tune_on_demonstrations(str(self.models / "sft"), "sft-continued", self.config_of_controls())

    def _tune_on_demonstrations(self, model: str, arm: str, config: SftConfig) -> dict[str, Any]:
        run, choice = self.out / "train", Choice(limit=self.config.demonstrations)
        return _dump(train_sft_on_run(run, "agent", model, self.models / arm, config, choice=choice))

    def _imitate_self(self) -> dict[str, Any]:
        dialogues = self._own_successes()
        domain, out = load_domain(self.name), self.models / "own-successes"
        if not dialogues:
            # An agent that never passed has nothing to imitate and stays as it is.
            shutil.copytree(self.models / "sft", out, dirs_exist_ok=True)
            result = TrainResult(out=str(out), steps=0, tokens=0, seconds=0.0, metrics={"rows": 0})
            write_result(out, result.model_dump(mode="json"))
            return _dump(result)
        config = self.config_of_controls()
        return _dump(train_sft(domain, "agent", self.models / "sft", (dialogues, []), out, config))

    def config_of_controls(self) -> SftConfig:
        """Return fine-tuning on as many of the agent's own tokens as GRPO trained on, without early stopping."""
        return self.config.sft.model_copy(
            update={
                "own_tokens": max(1, self.read("rl")["tokens"]),
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
        return [Dialogue(task, trace) for task, trace in played if give_verdict(domain, task, trace).passed]

    def _evaluate(self, arm: str) -> dict[str, Any]:
        tasks = list(read_tasks(self.out / "test"))
        config = EvalConfig(trials=self.config.trials, width=64, seed=self.seed, limits=self._limits())
        out = self.out / "evals" / f"{arm}.json"
        domain = load_domain(self.name)
        score = partial(give_verdict, domain)
        return evaluate_tasks(domain, tasks, self._players(arm), config, score=score, out=out)

    def _players(self, arm: str) -> dict[Any, Any]:
        return {
            "agent": LocalPlayer.load(self.models / arm, "agent"),
            "user": LocalPlayer.load(self.models / "user", "user"),
        }

    def _limits(self) -> Limits:
        return Limits(turns=self.config.rl.turns)


def _dump(result: Any) -> dict[str, Any]:
    return result.model_dump(mode="json")
