"""One seed of `ablate rl`: its folder, the steps done in it and what each of them needs."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field

from veriloop.check.sandbox import judge
from veriloop.core.base import Frozen, derive_seed
from veriloop.core.errors import InputError
from veriloop.core.extra import needs_extra
from veriloop.core.trace import Trace
from veriloop.domains.registry import load_domain
from veriloop.engine.plan import Scope
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
    from veriloop.train.data import Dialogue, write_result
    from veriloop.train.grpo import RlConfig
    from veriloop.train.metrics import TrainResult
    from veriloop.train.sft import SftConfig, train_sft

ARMS = ("sft", "rl", "sft-continued", "own-successes")
NEEDS: dict[str, tuple[str, ...]] = {
    "train-tasks": (),
    "test-tasks": (),
    "sft": ("train-tasks",),
    "user": ("train-tasks",),
    "rl": ("sft", "user"),
    "sft-continued": ("rl",),
    "own-successes": ("rl",),
    **{f"eval-{arm}": (arm, "user", "test-tasks") for arm in ARMS},
}
"""The steps, those that others wait for longest first, and the steps that each builds on.

Tasks come before all training: a scope that offers too few of them is found out in the first minutes.
"""


class AblationConfig(Frozen):
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


class Lab:
    """Does one seed's steps; the result of each is a JSON file in `out/steps`."""

    def __init__(self, domain: str, seed: int, out: Path, config: AblationConfig) -> None:
        self.name, self.seed, self.out, self.config = domain, seed, out, config
        self.models = out / "models"

    def has_done(self, step: str) -> bool:
        """Return whether a step's result is there."""
        return self._file(step).exists()

    def read(self, step: str) -> dict[str, Any]:
        """Return the result of a step that was done."""
        return read_json(self._file(step))

    def do(self, step: str) -> None:
        """Do a step whose needs are done, and store its result."""
        work: dict[str, Callable[[], dict[str, Any]]] = {
            "train-tasks": lambda: self._synthesise("train", self.config.tasks),
            "test-tasks": lambda: self._synthesise("test", self.config.held_out),
            "user": self._tune_user,
            "sft": self._tune_agent,
            "rl": self._reinforce,
            "sft-continued": self._continue_sft,
            "own-successes": self._imitate_self,
            **{f"eval-{arm}": lambda arm=arm: self._evaluate(arm) for arm in ARMS},
        }
        write_json(self._file(step), work[step]())

    def _file(self, step: str) -> Path:
        return self.out / "steps" / f"{step}.json"

    def _synthesise(self, split: str, count: int) -> dict[str, Any]:
        config = SynthConfig(n=count, seed=derive_seed(self.seed, split) % 2**31, split=split, scope=self.config.scope)
        out = self.out / split
        made = run_synthesis(self.name, out, config, resume=(out / "run.toml").exists())
        if made.proved < count:
            ways = "fewer --tasks and --held-out, or more room in --only-tools and --only-tiers"
            raise InputError(f"only {made.proved} of {count} {split} tasks could be proved; take {ways}")
        return _dump(made)

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
        trained = self.read("sft")["metrics"]
        config = self.control_config(trained["rows"], trained["own_tokens"])
        return self._tune_on_demonstrations(str(self.models / "sft"), "sft-continued", config)

    def _tune_on_demonstrations(self, model: str, arm: str, config: SftConfig) -> dict[str, Any]:
        run, limit = self.out / "train", self.config.demonstrations
        return _dump(train_sft_on_run(run, "agent", model, self.models / arm, config, limit=limit))

    def _imitate_self(self) -> dict[str, Any]:
        dialogues = self._own_successes()
        domain, out = load_domain(self.name), self.models / "own-successes"
        if not dialogues:
            # An agent that never passed has nothing to imitate and stays as it is.
            shutil.copytree(self.models / "sft", out, dirs_exist_ok=True)
            result = TrainResult(out=str(out), steps=0, tokens=0, seconds=0.0, metrics={"rows": 0})
            write_result(out, result.model_dump(mode="json"))
            return _dump(result)
        config = self.control_config(len(dialogues), sum(count_own_tokens(found.trace) for found in dialogues))
        return _dump(train_sft(domain, "agent", self.models / "sft", (dialogues, []), out, config))

    def control_config(self, rows: int, own_tokens: int) -> SftConfig:
        """Return fine-tuning for as many steps as make GRPO's number of trained tokens, without early stopping.

        rows, own_tokens: of what is trained on. GRPO counts the agent's own tokens, so the same are counted here: those
        with a label, not all that are read. The last step of a pass over the rows may hold fewer of them.
        """
        per_step = own_tokens / math.ceil(rows / self.config.sft.batch)
        return self.config.sft.model_copy(
            update={
                "steps": max(1, round(self.read("rl")["tokens"] / per_step)),
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
        tasks = list(read_tasks(self.out / "test"))
        config = EvalConfig(trials=self.config.trials, width=64, seed=self.seed, limits=self._limits())
        out = self.out / "evals" / f"{arm}.json"
        return evaluate_tasks(load_domain(self.name), tasks, self._players(arm), config, score=judge, out=out)

    def _players(self, arm: str) -> dict[Any, Any]:
        return {
            "agent": LocalPlayer.load(self.models / arm, "agent"),
            "user": LocalPlayer.load(self.models / "user", "user"),
        }

    def _limits(self) -> Limits:
        return Limits(turns=self.config.rl.turns)


def count_own_tokens(trace: Trace) -> int:
    """Return how many tokens of a dialogue the agent's model drew."""
    return sum(len(turn.sampled.token_ids) for turn in trace.turns if turn.seat == "agent" and turn.sampled)


def _dump(result: Any) -> dict[str, Any]:
    return result.model_dump(mode="json")
