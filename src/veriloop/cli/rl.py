"""`veriloop rl`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from veriloop.cli.output import Result, show_progress
from veriloop.core.extra import needs_extra
from veriloop.train.objective import Objective


@Parameter(name="*")
@dataclass(frozen=True)
class Practice:
    """How much is played and learnt per step."""

    steps: Annotated[int, Parameter(validator=Number(gte=1))] = 60
    """Optimizer steps; the weights with the best held-out pass^1 are kept."""
    groups: Annotated[int, Parameter(validator=Number(gte=1))] = 8
    """Tasks per step whose dialogues neither all pass nor all fail."""
    size: Annotated[int, Parameter(validator=Number(gte=2))] = 8
    """Dialogues per task."""
    learning_rate: Annotated[float, Parameter(validator=Number(gt=0))] = 3e-4
    """Constant learning rate."""
    kl: Annotated[float, Parameter(validator=Number(gte=0))] = 0.0
    """Weight of the divergence from the agent as it was; holds what the reward says nothing about."""
    loss: Objective = "dapo"
    """How tokens count: each the same in its step, each the same always, or each trajectory the same."""
    filtering: Annotated[bool, Parameter(negative="--no-filtering")] = True
    """Replace groups that carry no signal; `--no-filtering` is for ablations."""
    seed: int = 0
    """Of the order of tasks and of all sampling."""


def rl_command(run: Path, *, agent: Path, user: Path, out: Path, practice: Practice | None = None) -> Result:
    """Train the agent by GRPO: whole dialogues with a trained user, rewarded by each task's checker alone.

    Parameters
    ----------
    run
        A run directory; its tasks are practised on.
    agent
        The fine-tuned agent's model folder.
    user
        The fine-tuned user's model folder; it is not trained any further.
    out
        The model folder to write; a run that was killed goes on from its last checkpoint.
    """
    with needs_extra("train"):
        from veriloop.pipeline.training import RlConfig, train_rl_on_run
    chosen = practice or Practice()
    config = RlConfig(
        steps=chosen.steps,
        groups=chosen.groups,
        size=chosen.size,
        cap=3 * chosen.groups,
        learning_rate=chosen.learning_rate,
        kl=chosen.kl,
        loss=chosen.loss,
        filtering=chosen.filtering,
        seed=chosen.seed,
    )
    with show_progress("practising") as progress:
        result = train_rl_on_run(run, str(agent), str(user), out, config, progress=progress)
    text = f"{result.steps} steps, {result.tokens} tokens in {result.seconds:.0f} s: {result.out}"
    return Result(result.model_dump(mode="json"), text)
