"""`veriloop ablate`."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from veriloop.cli.output import Result, align_table, show_progress
from veriloop.cli.scope import Only
from veriloop.core.errors import InputError
from veriloop.core.extra import needs_extra
from veriloop.domains.registry import load_domain
from veriloop.engine.plan import Scope, narrow_scope
from veriloop.report.ablation import write_ablation_page


@Parameter(name="*")
@dataclass(frozen=True)
class Size:
    """How much each seed gets."""

    tasks: Annotated[int | None, Parameter(validator=Number(gte=20))] = None
    """Tasks to practise on, 1,200 by default; with data, tasks of each arm, 500 by default."""
    demonstrations: Annotated[int | None, Parameter(validator=Number(gte=0))] = None
    """rl, user: dialogues of those tasks that the agent is fine-tuned on before, 80 by default; 0 for all."""
    held_out: Annotated[int, Parameter(validator=Number(gte=10))] = 240
    """Tasks over databases never trained on, on which the agents are compared."""
    slips: Annotated[float | None, Parameter(validator=Number(gte=0, lte=1))] = None
    """data: share of its changing dialogues in which the scripted agent that demonstrates errs; 0.3 by default."""
    whole: Annotated[bool, Parameter(negative="")] = False
    """rl, user: all of the domain, where neither --only-tools nor --only-tiers is given. By default it is one write
    tool, done or refused: an agent this small learns no more than that in an hour on two cores."""


def ablate_command(
    what: Literal["data", "rl", "user"],
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
        data: an agent fine-tuned on tasks of the whole engine against agents of tasks made without validation, without
        evolution, and from 4 plan pairs instead of 64; as many tasks and tokens each. rl: GRPO against the same agent
        fine-tuned only, fine-tuned for as many more tokens, and fine-tuned on its own successes. user: GRPO with a
        trained user, an early checkpoint of it, and scripts that leak, contradict or leave in a share of dialogues.
    domain
        A name from `veriloop domains` or a path to a Python file.
    out
        A folder for all of it; what is finished there is not done again.
    seeds
        Independent repetitions, tasks and models included.
    workers
        Steps at once, of any seeds, each in a process of its own.
    """
    size, scope = size or Size(), (only or Only()).scope()
    ablate = _prepare_data(size, scope) if what == "data" else _prepare_rl(what, domain, size, scope)
    with show_progress(f"ablating {what} on {domain}") as progress:
        result = ablate(domain, seeds, out, workers=workers, progress=progress)
    page = write_ablation_page(result, out)
    return Result({**result, "page": str(page)}, f"{_describe(result)}\n{page}")


def _prepare_rl(what: str, domain: str, size: Size, scope: Scope) -> Any:
    with needs_extra("train"):
        from veriloop.pipeline.ablation.rl import RlAblation, ablate_rl
        from veriloop.pipeline.ablation.user import UserAblation, ablate_user
    if size.slips is not None:
        raise InputError(f"--slips belongs to `ablate data`; the demonstrations of `ablate {what}` are all verified")
    if not size.whole and scope == Scope():
        scope = narrow_scope(load_domain(domain))
    demonstrations = 80 if size.demonstrations is None else size.demonstrations
    settings: dict[str, Any] = {"demonstrations": demonstrations, "held_out": size.held_out, "scope": scope}
    if what == "user":
        return partial(ablate_user, config=UserAblation(tasks=size.tasks or 1200, **settings))
    return partial(ablate_rl, config=RlAblation(tasks=size.tasks or 1200, **settings))


def _prepare_data(size: Size, scope: Scope) -> Any:
    with needs_extra("train"):
        from veriloop.pipeline.ablation.data import DataAblation, ablate_data
    if size.demonstrations is not None or size.whole:
        raise InputError(
            "--demonstrations and --whole belong to `ablate rl` and `user`; data takes --tasks, --slips and --held-out"
        )
    slips = 0.3 if size.slips is None else size.slips
    config = DataAblation(tasks=size.tasks or 500, slips=slips, held_out=size.held_out, scope=scope)
    return partial(ablate_data, config=config)


def _describe(result: dict[str, Any]) -> str:
    arms, base = result["arms"], result["base"]
    rows = [(f"seed {row['seed']}", *(_spell(row[arm], base) for arm in arms)) for row in result["table"]]
    return align_table(("pass^1", *arms), rows)


def _spell(cell: dict[str, Any], base: str) -> str:
    score, name = f"{cell['pass_hat']['1']:.3f}", f"minus_{base.replace('-', '_')}"
    if cell.get(name) is None:
        return score
    low, high = cell[f"{name}_interval_95"]
    return f"{score} ({cell[name]:+.3f} [{low:+.3f}, {high:+.3f}])"
