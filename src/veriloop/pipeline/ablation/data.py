"""`ablate data`: what validation, evolution and many plans are worth, by the agent that is trained on their tasks.

Every arm makes the same number of tasks with one thing left out, and an agent made from scratch is fine-tuned on as
many tokens of their dialogues. All are measured on one set of tasks that no arm made, over databases that none saw,
against the scripted user: what a trained user learned from one arm's data would favour that arm.

Scripts draft what the policy allows and play it right, so that validation would find nothing. Hence the agent that
demonstrates errs in a share of its dialogues, in all arms alike, as a model in its place would.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from veriloop.check.sandbox import shared_sandbox
from veriloop.check.verdict import give_verdict
from veriloop.core.base import Frozen, derive_seed
from veriloop.core.extra import needs_extra
from veriloop.core.message import Seat
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Task
from veriloop.engine.fitness import measure_fitness
from veriloop.engine.plan import Scope, check_scope, find_reach
from veriloop.engine.stream import Item
from veriloop.engine.synthesize import SynthConfig
from veriloop.evaluate.own import EvalConfig, evaluate_tasks
from veriloop.pipeline.ablation.lab import Lab, Work
from veriloop.pipeline.ablation.queue import Progress, claim_folder, do_steps
from veriloop.pipeline.ablation.table import compare_arms, pool_seeds
from veriloop.pipeline.training import Choice, train_sft_on_run
from veriloop.pipeline.worker import open_pool
from veriloop.proof.prove import prove
from veriloop.rollout.episode import Limits
from veriloop.rollout.scripted import ScriptedUser
from veriloop.store.artefact import read_tasks
from veriloop.store.file import write_json
from veriloop.store.result import iter_dialogues
from veriloop.store.run import open_run

with needs_extra("train"):
    from veriloop.local.player import LocalPlayer
    from veriloop.train.sft import SftConfig

BASE = "full"
ARMS = (BASE, "no-validation", "no-evolution", "few-plans")


class DataAblation(Frozen):
    """What every seed does.

    tasks: accepted tasks of each arm. slips: share of its dialogues in which the agent that demonstrates them errs.
    plans, few: plan pairs of the arms with many and with few. rounds, pilot: of
    reflection. held_out: tasks of the test set, made from two plans as they are written. sft: by tokens, not steps.
    """

    scope: Scope = Scope()
    tasks: int
    slips: float = Field(default=0.0, ge=0, le=1)
    plans: int = 64
    few: int = 4
    rounds: int = 3
    pilot: int = 512
    held_out: int
    trials: int = 4
    turns: int = 40
    model: str = "nano"
    sft: SftConfig = SftConfig(own_tokens=400_000, patience=0, pretrain=100, batch=12, learning_rate=3e-3)

    def of_arm(self, arm: str, seed: int) -> SynthConfig:
        """Return how an arm makes its tasks; arms of one seed draw the same orders."""
        shared = {
            "speech": "plain",
            "scope": self.scope,
            "rounds": self.rounds,
            "pilot": self.pilot,
            "slips": self.slips,
        }
        full = SynthConfig(n=self.tasks, seed=derive_seed(seed, "data") % 2**31, plans=self.plans, **shared)
        changes: dict[str, dict[str, Any]] = {
            "no-validation": {"verify": False},
            "no-evolution": {"evolve": False},
            "few-plans": {"plans": self.few},
        }
        return full.model_copy(update=changes.get(arm, {}))

    def of_test(self) -> SynthConfig:
        """Return how the test set is made, the same for all seeds."""
        seed = derive_seed("data", "test") % 2**31
        return SynthConfig(n=self.held_out, seed=seed, evolve=False, split="test", scope=self.scope, speech="plain")


def ablate_data(
    domain: str, seeds: int, out: Path, *, config: DataAblation, workers: int = 2, progress: Progress | None = None
) -> dict[str, Any]:
    """Make the test set, do the steps of all seeds, `workers` at a time, and return the table.

    Every finished step is a file in `out`; a run that was stopped does not repeat it.
    """
    check_scope(load_domain(domain), config.scope)
    claim_folder(out, "data", domain, config)
    test = _TestSet(domain, out, config)
    if not test.has_done("test"):
        test.do("test")
    labs = {seed: DataLab(domain, seed, out / f"seed-{seed}", config, out / "test") for seed in range(seeds)}
    with open_pool(workers) as pool:
        do_steps(labs, pool, workers, progress)
    result = {
        "what": "data",
        "table": [{"seed": seed, **lab.compare()} for seed, lab in labs.items()],
        "pooled": pool_seeds([lab.read_evals() for lab in labs.values()], BASE),
        "arms": list(ARMS),
        "base": BASE,
        "domain": domain,
        "config": config.model_dump(mode="json"),
    }
    write_json(out / "table.json", result)
    return result


class _TestSet(Lab):
    """The tasks that all seeds are measured on."""

    needs: ClassVar = {"test": ()}

    def __init__(self, domain: str, out: Path, config: DataAblation) -> None:
        super().__init__(domain, 0, out)
        self.config = config

    def work(self) -> dict[str, Work]:
        return {"test": lambda: self.synthesise("test", self.config.of_test())}


class DataLab(Lab):
    """One seed of `ablate data`. test: the run directory of the test set."""

    needs: ClassVar = {
        **{f"tasks-{arm}": () for arm in ARMS},
        **{f"sft-{arm}": (f"tasks-{arm}",) for arm in ARMS},
        **{f"eval-{arm}": (f"sft-{arm}",) for arm in ARMS},
    }

    def __init__(self, domain: str, seed: int, out: Path, config: DataAblation, test: Path) -> None:
        super().__init__(domain, seed, out)
        self.config, self.test = config, test

    def work(self) -> dict[str, Work]:
        """Return what does each step."""
        return {
            **{f"tasks-{arm}": lambda arm=arm: self._make_tasks(arm) for arm in ARMS},
            **{f"sft-{arm}": lambda arm=arm: self._tune(arm) for arm in ARMS},
            **{f"eval-{arm}": lambda arm=arm: self._evaluate(arm) for arm in ARMS},
        }

    def compare(self) -> dict[str, Any]:
        """Return this seed's row of the table, once all is done; `data` says what each arm's tasks are."""
        row = compare_arms(self.read_evals(), BASE, seed=self.seed)
        for arm in ARMS:
            made, tuned = self.read(f"tasks-{arm}"), self.read(f"sft-{arm}")
            held_out = [found["fitness_held_out"] for found in made["rounds"] if found["fitness_held_out"] is not None]
            row[arm]["data"] = {
                **{key: made[key] for key in ("attempted", "proved", "no_write", "seconds", "closest_plans")},
                **{key: made[key] for key in ("diversity", "unproved", "failed_dialogues", "dialogues")},
                "fitness_held_out": held_out,
                "own_tokens": tuned["metrics"]["own_tokens"],
                "steps": tuned["steps"],
            }
        return row

    def read_evals(self) -> dict[str, dict[str, Any]]:
        """Return the evaluation of every arm."""
        return {arm: self.read(f"eval-{arm}") for arm in ARMS}

    def count_unproved(self, tasks: Sequence[Task]) -> int:
        """Return how many tasks the proof would have rejected."""
        domain, sandbox = load_domain(self.name), shared_sandbox()
        return sum(not prove(domain, task, sandbox).ok for task in tasks)

    def _make_tasks(self, arm: str) -> dict[str, Any]:
        config = self.config.of_arm(arm, self.seed)
        made, run = self.synthesise(arm, config), self.out / arm
        with open_run(run) as opened:
            good = [dialogue.good for dialogue in iter_dialogues(opened)]
        tasks = list(read_tasks(run))
        flaws = {"dialogues": len(good), "failed_dialogues": good.count(False)}
        unproved = 0 if config.verify else self.count_unproved(tasks)
        return {**made, **flaws, "unproved": unproved, "diversity": round(self._measure_diversity(tasks), 4)}

    def _measure_diversity(self, tasks: Sequence[Task]) -> float:
        reach = find_reach(load_domain(self.name), self.config.scope)
        return measure_fitness(reach, [Item(item=0, plan="", task=task) for task in tasks]).diversity

    def _tune(self, arm: str) -> dict[str, Any]:
        config = self.config.sft.model_copy(update={"seed": self.seed})
        # Without validation nobody knows which dialogues failed, so all of them are trained on.
        choice = Choice(good=self.config.of_arm(arm, self.seed).verify)
        run, out = self.out / arm, self.models / arm
        made = train_sft_on_run(run, "agent", self.config.model, out, config, choice=choice)
        return made.model_dump(mode="json")

    def _evaluate(self, arm: str) -> dict[str, Any]:
        config = EvalConfig(trials=self.config.trials, width=64, seed=self.seed, limits=Limits(turns=self.config.turns))
        players: dict[Seat, Any] = {"agent": LocalPlayer.load(self.models / arm, "agent"), "user": ScriptedUser()}
        out, tasks = self.out / "evals" / f"{arm}.json", list(read_tasks(self.test))
        domain = load_domain(self.name)
        score = partial(give_verdict, domain)
        return evaluate_tasks(domain, tasks, players, config, score=score, out=out)
