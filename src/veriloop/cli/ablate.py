"""`veriloop ablate`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from veriloop.cli.output import Result, align_table, show_progress
from veriloop.cli.scope import Only
from veriloop.core.extra import needs_extra
from veriloop.domains.registry import load_domain
from veriloop.engine.plan import Scope, narrow_scope


@Parameter(name="*")
@dataclass(frozen=True)
class Size:
    """How much each seed gets."""

    tasks: Annotated[int, Parameter(validator=Number(gte=20))] = 1200
    """Tasks to practise on."""
    demonstrations: Annotated[int, Parameter(validator=Number(gte=0))] = 80
    """Dialogues of those tasks that the agent is fine-tuned on before; 0 for all."""
    held_out: Annotated[int, Parameter(validator=Number(gte=10))] = 240
    """Tasks over databases never trained on, on which the agents are compared."""
    whole: Annotated[bool, Parameter(negative="")] = False
    """All of the domain, where neither --only-tools nor --only-tiers is given. By default it is one write tool, done or
    refused: an agent this small learns no more than that in an hour on two cores."""


def ablate_command(
    what: Literal["rl"],
    domain: str,
    *,
    out: Path,
    seeds: Annotated[int, Parameter(validator=Number(gte=1))] = 3,
    workers: Annotated[int, Parameter(validator=Number(gte=1))] = 2,
    size: Size | None = None,
    only: Only | None = None,
) -> Result:
    """Measure what a part of the method is worth, with paired differences over held-out tasks.

    Parameters
    ----------
    what
        rl: GRPO against the same agent fine-tuned only, fine-tuned for as many more tokens, and fine-tuned on its own
        successes.
    domain
        A name from `veriloop domains` or a path to a Python file.
    out
        A folder for all of it; what is finished there is not done again.
    seeds
        Independent repetitions, tasks and models included.
    workers
        Steps at once, of any seeds, each in a process of its own.
    """
    with needs_extra("train"):
        from veriloop.pipeline.ablate import AblationConfig, ablate_rl
    chosen = asdict(size or Size())
    scope = (only or Only()).scope()
    if not chosen.pop("whole") and scope == Scope():
        scope = narrow_scope(load_domain(domain))
    config = AblationConfig(**chosen, scope=scope)
    with show_progress(f"ablating {what} on {domain}") as progress:
        result = ablate_rl(domain, seeds, out, config, workers=workers, progress=progress)
    return Result(result, _describe(result))


def _describe(result: dict[str, Any]) -> str:
    arms = result["arms"]
    rows = [(f"seed {row['seed']}", *(_spell(row[arm]) for arm in arms)) for row in result["table"]]
    return align_table(("pass^1", *arms), rows)


def _spell(cell: dict[str, Any]) -> str:
    score = f"{cell['pass_hat']['1']:.3f}"
    if "minus_sft" not in cell:
        return score
    low, high = cell["minus_sft_interval_95"]
    return f"{score} ({cell['minus_sft']:+.3f} [{low:+.3f}, {high:+.3f}])"
