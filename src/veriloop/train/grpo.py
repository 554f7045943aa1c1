"""GRPO of the agent on TRL's trainer: whole dialogues, one reward per trajectory, two-sided dynamic filtering."""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from pydantic import Field
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from veriloop.core.base import Frozen
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.local.model import LoadedModel, load_model, save_model
from veriloop.local.player import LocalPlayer, Sampling
from veriloop.rollout.episode import Limits
from veriloop.rollout.player import Player
from veriloop.train.checkpoint import drop_checkpoints, find_checkpoint
from veriloop.train.curriculum import TaskOrder
from veriloop.train.data import write_result
from veriloop.train.metrics import MetricsFile, TrainResult
from veriloop.train.objective import Objective, trl_settings
from veriloop.train.rollout import Arena, GroupShape, Rollout, Score

STATE = "veriloop-state.json"
"""What a checkpoint holds beside TRL's own files, written last: task order, best validation, counts."""


class RlConfig(Frozen):
    """How the agent is trained by GRPO.

    groups x size trajectories make a step; cap: groups sampled at most to fill it. validate_every: steps between
    measurements of pass^1 on the validation tasks, by which the best weights are kept; 0 keeps the last. kl: weight
    in the loss of the divergence from the model that training starts from; with few trajectories a step it holds what
    the reward says nothing about. loss: how the tokens of a step count, see `objective`. filtering: False trains on
    every group, for the ablation.
    """

    steps: int = Field(default=60, ge=1)
    groups: int = Field(default=8, ge=1)
    size: int = Field(default=8, ge=2)
    cap: int = Field(default=24, ge=1)
    micro_batch: int = Field(default=16, ge=1)
    learning_rate: float = 3e-4
    loss: Objective = "dapo"
    clip_low: float = 0.2
    clip_high: float = 0.28
    kl: float = Field(default=0.0, ge=0)
    temperature: float = 1.0
    filtering: bool = True
    validate_every: int = Field(default=10, ge=0)
    turns: int = 40
    seed: int = 0


def train_rl(
    domain: Domain,
    tasks: tuple[Sequence[Task], Sequence[Task]],
    seats: tuple[str | Path, str | Path | Player],
    out: Path,
    config: RlConfig,
    *,
    score: Score,
    progress: Callable[[int, int], None] | None = None,
) -> TrainResult:
    """Train the agent, first of `seats`, with the user, second, on the first of `tasks`; validate on the second.

    The user is a model's folder, or any player that answers at once.
    A run that was killed goes on from its last checkpoint in `out`.
    """
    start = time.monotonic()
    loaded = load_model(seats[0])
    sampling = Sampling(temperature=config.temperature, rows=max(64, config.groups * config.size))
    players: dict[Any, Any] = {
        "agent": LocalPlayer(loaded, "agent", sampling=sampling, name="training"),
        "user": _find_user(seats[1], sampling),
    }
    every = [*tasks[0], *tasks[1]]
    arena = Arena(domain, every, loaded, players, score, limits=Limits(turns=config.turns))
    order = TaskOrder([task.id for task in tasks[0]], config.seed)
    shape = GroupShape(config.groups, config.size, config.cap, config.filtering)
    rollout = Rollout(arena, order, shape, loaded.tokenizer.pad_token_id, config.seed)
    keeper = _Keeper(out, loaded, rollout, [task.id for task in tasks[1]], config)
    metrics = MetricsFile(out / "metrics.jsonl", "rl", progress)
    keeper.write = metrics.write
    trainer = _Trainer(
        model=loaded.model,
        reward_funcs=_reward,
        args=_trl_config(out, config),
        train_dataset=_placeholders(config),
        processing_class=loaded.tokenizer,
        rollout_func=rollout,
        callbacks=[metrics, keeper],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=find_checkpoint(out, STATE))
    keeper.finish()
    result = TrainResult(
        out=str(out),
        steps=trainer.state.global_step,
        tokens=keeper.tokens,
        seconds=round(time.monotonic() - start, 1),
        metrics={"best_step": keeper.best_step, "best_pass_1": keeper.best, "skipped_steps": keeper.skipped},
    )
    write_result(out, result.model_dump(mode="json"))
    return result


def _find_user(user: str | Path | Player, sampling: Sampling) -> Player:
    if not isinstance(user, str | Path):
        return user
    return LocalPlayer(load_model(user), "user", sampling=sampling, name="trained-user")


class _Trainer(GRPOTrainer):
    """GRPOTrainer that leaves the weights alone when a step has nothing to learn from."""

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        loss = super().training_step(model, inputs, num_items_in_batch)
        rollout: Any = self.rollout_func
        if rollout.empty:
            # Zero gradients would still decay the weights and turn the optimizer's momentum; none at all do not.
            model.zero_grad(set_to_none=True)
        return loss


class _Keeper(TrainerCallback):
    """Logs what the rollouts showed, validates, keeps the best weights, saves the task order with each checkpoint."""

    def __init__(
        self, out: Path, loaded: LoadedModel, rollout: Rollout, validation: list[str], config: RlConfig
    ) -> None:
        self._out, self._loaded, self._rollout, self._config = out, loaded, rollout, config
        self._validation = validation
        self._every = config.validate_every if validation else 0
        self.best: float | None = None
        self.best_step: int | None = None
        self.tokens, self.skipped = 0, 0
        self.write: Callable[[int, dict[str, Any]], None] = lambda _step, _numbers: None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take up the state of the checkpoint, or measure where training starts."""
        saved = self._state_file(state.global_step)
        if state.global_step and saved.exists():
            kept = json.loads(saved.read_text(encoding="utf-8"))
            self.best, self.best_step = kept["best"], kept["best_step"]
            self.tokens, self.skipped = kept["tokens"], kept["skipped"]
            self._rollout.order.restore(kept["order"])
            self._rollout.steps = kept["steps"]
        elif self._every:
            self._validate(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Log the step's rollouts and validate when it is time."""
        metrics = self._rollout.metrics
        self.tokens += int(metrics.get("agent_tokens", 0))
        self.skipped += self._rollout.empty
        self.write(state.global_step, metrics)
        if self._every and (state.global_step % self._every == 0 or state.global_step == state.max_steps):
            self._validate(state.global_step)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save what the checkpoint itself does not hold."""
        kept = {
            "best": self.best, "best_step": self.best_step, "tokens": self.tokens, "skipped": self.skipped,
            "order": self._rollout.order.state(), "steps": self._rollout.steps,
        }  # fmt: skip
        self._state_file(state.global_step).write_text(json.dumps(kept), encoding="utf-8")

    def finish(self) -> None:
        """Leave the best weights in the folder and drop the checkpoints; may be killed and done again."""
        best = self._out / "best"
        if best.exists():
            shutil.copytree(best, self._out, dirs_exist_ok=True)
        else:
            save_model(self._loaded, self._out)
        drop_checkpoints(self._out, STATE)
        shutil.rmtree(best, ignore_errors=True)

    def _validate(self, step: int) -> None:
        self._rollout.arena.forget()
        groups = self._rollout.arena.sample(self._validation, 2, self._config.seed)
        means = [group.mean for group in groups if group.mean is not None]
        rate = sum(means) / len(means) if means else 0.0
        self.write(step, {"validation_pass_1": rate})
        if self.best is None or rate > self.best:
            self.best, self.best_step = rate, step
            save_model(self._loaded, self._out / "best")

    def _state_file(self, step: int) -> Path:
        return self._out / f"checkpoint-{step}" / STATE


def _trl_config(out: Path, config: RlConfig) -> GRPOConfig:
    import torch

    places = config.groups * config.size
    # TRL would leave out the places that do not fill a micro batch, so they must divide evenly.
    micro = max(size for size in range(1, min(config.micro_batch, places) + 1) if places % size == 0)
    return GRPOConfig(
        output_dir=str(out),
        max_steps=config.steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=places // micro,
        num_generations=config.size,
        learning_rate=config.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=3,
        weight_decay=0.0,
        max_grad_norm=1.0,
        beta=config.kl,
        **trl_settings(config.loss, (config.clip_low, config.clip_high)),
        scale_rewards="none",
        temperature=config.temperature,
        bf16=False,
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=False,
        logging_steps=1,
        save_strategy="steps",
        save_steps=10,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        shuffle_dataset=False,
        seed=config.seed,
        data_seed=config.seed,
    )


def _placeholders(config: RlConfig) -> Any:
    """Return the dataset TRL wants; which tasks are played is the rollout's own choice, for filtering replaces them."""
    return Dataset.from_dict({"prompt": [f"place {number}" for number in range(config.groups)]})


def _reward(reward: Sequence[float | None], **_: Any) -> list[float | None]:
    """Return the rewards that the rollout found."""
    return list(reward)
