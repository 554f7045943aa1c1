"""`ablate user`: what does it cost an agent to practise with a user that errs?

For every seed: tasks, an agent fine-tuned to its held-out minimum, a user fine-tuned likewise and an early checkpoint
of it; then GRPO from the same agent with each of the users: the trained one, the early one, and scripts that leak,
contradict or leave too early in a known share of their dialogues. All agents are measured on tasks over databases never
seen in training, with the trained user. How often each user really errs is measured in dialogues of its own.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from veriloop.core.base import derive_seed
from veriloop.core.extra import needs_extra
from veriloop.core.trace import Trace
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Task
from veriloop.pipeline.ablation.lab import Work
from veriloop.pipeline.ablation.queue import Progress
from veriloop.pipeline.ablation.rl import BASE, RlAblation, RlLab, ablate_from_sft
from veriloop.pipeline.training import train_rl_on_run, train_sft_on_run
from veriloop.rollout.driver import play_batch
from veriloop.rollout.episode import Episode
from veriloop.rollout.faulty import FaultyUser
from veriloop.rollout.player import Player
from veriloop.rollout.quality import measure_user
from veriloop.rollout.scripted import ScriptedUser
from veriloop.store.artefact import read_tasks

with needs_extra("train"):
    from veriloop.local.player import LocalPlayer

TRAINED, EARLY, SCRIPTED = "trained", "early", "scripted"
FOLDERS = {TRAINED: "user", EARLY: "early-user"}
"""Trained users, by name: their models' folders and steps."""
DOSES = {f"{fault}-{rate:g}": (fault, rate) for fault in ("leak", "contradict", "stop") for rate in (0.25, 0.5)}
"""Scripted users that err, by name: in what, and in which share of their dialogues."""
USERS = (TRAINED, EARLY, SCRIPTED, *DOSES)
ARMS = (BASE, *USERS)


class UserAblation(RlAblation):
    """What every seed does, as in `ablate rl`. early: the steps of the early checkpoint of the user."""

    early: int = 20


def ablate_user(
    domain: str, seeds: int, out: Path, *, config: UserAblation, workers: int = 2, progress: Progress | None = None
) -> dict[str, Any]:
    """Do the steps of all seeds, `workers` at a time, and return the table; see `ablate_from_sft`."""
    labs = {seed: UserLab(domain, seed, out / f"seed-{seed}", config) for seed in range(seeds)}
    return ablate_from_sft(labs, domain, out, config, workers=workers, progress=progress)


class UserLab(RlLab):
    """One seed of `ablate user`. A step named after a user is practice with it, `health-` its own measurement."""

    what = "user"
    arms = ARMS
    needs: ClassVar = {
        "train-tasks": (),
        "test-tasks": (),
        "sft": ("train-tasks",),
        "user": ("train-tasks",),
        "early-user": ("train-tasks",),
        TRAINED: ("sft", "user"),
        EARLY: ("sft", "early-user"),
        **dict.fromkeys((SCRIPTED, *DOSES), ("sft",)),
        **{f"health-{user}": ("sft", "test-tasks", *FOLDERS.values()) for user in USERS},
        **{f"eval-{arm}": (arm, "user", "test-tasks") for arm in ARMS},
    }

    def __init__(self, domain: str, seed: int, out: Path, config: UserAblation) -> None:
        super().__init__(domain, seed, out, config)
        self.early = config.early

    def work(self) -> dict[str, Work]:
        """Return what does each step."""
        return {
            **{step: work for step, work in super().work().items() if step in self.needs},
            "early-user": self._tune_early_user,
            **{user: partial(self._practise, user) for user in USERS},
            **{f"health-{user}": partial(self._examine, user) for user in USERS},
            **{f"eval-{arm}": partial(self._evaluate, arm) for arm in ARMS},
        }

    def compare(self) -> dict[str, Any]:
        """Return this seed's row of the table, once all is done."""
        row = super().compare()
        row["health"] = {user: self.read(f"health-{user}") for user in USERS}
        return row

    def _tune_early_user(self) -> dict[str, Any]:
        steps = {"steps": self.early, "eval_every": self.early, "patience": 0, "seed": self.seed}
        config = self.config.user.model_copy(update=steps)
        out = self.models / "early-user"
        return train_sft_on_run(self.out / "train", "user", self.config.model, out, config).model_dump(mode="json")

    def _practise(self, user: str) -> dict[str, Any]:
        config = self.config.rl.model_copy(update={"seed": self.seed})
        run, agent = self.out / "train", str(self.models / "sft")
        return train_rl_on_run(run, agent, self._find_user(user), self.models / user, config).model_dump(mode="json")

    def _find_user(self, user: str) -> Player | str:
        """Return a script, or the folder of a model."""
        if user in DOSES:
            return FaultyUser(*DOSES[user])
        return ScriptedUser() if user == SCRIPTED else str(self.models / FOLDERS[user])

    def _examine(self, user: str) -> dict[str, Any]:
        """Return in which share of dialogues with the fine-tuned agent a user errs, and in what."""
        tasks, domain = list(read_tasks(self.out / "test")), load_domain(self.name)
        found = self._find_user(user)
        player = LocalPlayer.load(found, "user") if isinstance(found, str) else found
        players: Any = {"agent": LocalPlayer.load(self.models / "sft", "agent"), "user": player}
        seed = derive_seed("health", self.seed)
        episodes = (Episode(domain, task, seed=seed, limits=self._limits()) for task in tasks)
        return summarise_health(tasks, dict(play_batch(episodes, players, width=64)))


def summarise_health(tasks: Sequence[Task], traces: dict[int, Trace]) -> dict[str, float]:
    """Return the shares of dialogues in which a user left things untold, made things up, left too early, leaked."""
    found = [measure_user(traces[place], task.user) for place, task in enumerate(tasks)]
    faults = {
        "untold": [not quality.goal_told for quality in found],
        "invented": [bool(quality.invented) for quality in found],
        "left_early": [quality.early_stop for quality in found],
        "leaked": [quality.leaked for quality in found],
        "sound": [quality.ok and not quality.leaked for quality in found],
    }
    return {name: sum(values) / len(values) for name, values in faults.items()}
