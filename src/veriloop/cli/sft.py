"""`veriloop sft`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from veriloop.cli.output import Result, show_progress
from veriloop.core.extra import needs_extra
from veriloop.core.message import Seat


@Parameter(name="*")
@dataclass(frozen=True)
class Schedule:
    """How long and how fast a model is fine-tuned."""

    steps: Annotated[int, Parameter(validator=Number(gte=1))] = 700
    """Optimizer steps at most."""
    batch: Annotated[int, Parameter(validator=Number(gte=1))] = 12
    """Dialogues per step."""
    learning_rate: Annotated[float, Parameter(validator=Number(gt=0))] = 3e-3
    """Peak learning rate; `nano`, trained from scratch, wants about 100 times what a large model does."""
    pretrain: Annotated[int, Parameter(validator=Number(gte=0))] = 120
    """Steps on every token before that; only `nano`, which is made from scratch, takes them."""
    eval_every: Annotated[int, Parameter(validator=Number(gte=1))] = 100
    """Steps between held-out losses."""
    patience: Annotated[int, Parameter(validator=Number(gte=0))] = 3
    """Held-out losses in a row without a new minimum after which training stops; 0 trains all steps."""
    ids_only: Annotated[bool, Parameter(negative="")] = False
    """A model from scratch gets aliases for ids alone, and reads figures, dates and names as they are."""
    length: Annotated[int, Parameter(validator=Number(gte=1))] = 1400
    """Tokens of a dialogue at most; longer ones are dropped and counted."""
    seed: int = 0
    """Of weights and order."""


def sft_command(
    run: Path,
    *,
    out: Path,
    seat: Seat = "agent",
    model: str = "nano",
    limit: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    schedule: Schedule | None = None,
) -> Result:
    """Fine-tune one seat on a run's good dialogues; the loss is on that seat's tokens alone.

    Parameters
    ----------
    run
        A run directory.
    out
        The model folder to write; a run that was killed goes on from its last checkpoint.
    seat
        Who is trained: the agent, or the user whom the agent will be trained against.
    model
        nano or mini (0.9 or 2 M parameters, from scratch), smollm2, or a Hugging Face folder.
    limit
        Dialogues to train on at most; 0 for all. Those held out stay the same.
    """
    with needs_extra("train"):
        from veriloop.pipeline.training import Choice, SftConfig, train_sft_on_run
    chosen = schedule or Schedule()
    config = SftConfig(**asdict(chosen))
    with show_progress(f"fine-tuning the {seat}") as progress:
        result = train_sft_on_run(run, seat, model, out, config, progress=progress, choice=Choice(limit=limit))
    text = f"{result.steps} steps, {result.tokens} tokens in {result.seconds:.0f} s: {result.out}"
    return Result(result.model_dump(mode="json"), text)
