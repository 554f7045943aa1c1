"""`veriloop demo`."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from veriloop.cli.eval import describe_scores
from veriloop.cli.output import Result, show_progress
from veriloop.core.extra import needs_extra
from veriloop.report.page import write_report


def demo_command(
    *,
    out: Path = Path("runs/demo"),
    quick: Annotated[bool, Parameter(negative="")] = False,
    seed: int = 0,
    resume: Annotated[bool, Parameter(negative="")] = False,
) -> Result:
    """Show the whole chain on the parcel domain, with real training, in at most ten minutes on two cores.

    Parameters
    ----------
    out
        The run directory to make.
    quick
        Do a little of everything, to see that it works; the scores mean nothing.
    seed
        Of tasks, models and sampling.
    resume
        Continue the demo in `--out` where it was stopped.
    """
    with needs_extra("train"):
        from veriloop.pipeline.demo import QUICK, DemoConfig, run_demo
    config = (QUICK if quick else DemoConfig()).model_copy(update={"seed": seed})
    with ExitStack() as stack:
        result = run_demo(out, config, resume=resume, report=_step_reporter(stack))
    page = write_report(out)
    return Result({**result, "report": str(page)}, _describe(result, page))


def _step_reporter(stack: ExitStack) -> Callable[[str], Callable[[int, int], None]]:
    """Return a reporter that ends the bar of the step before when a step begins."""

    def begin(step: str) -> Callable[[int, int], None]:
        stack.close()
        return stack.enter_context(show_progress(step))

    return begin


def _describe(result: dict[str, Any], page: Path) -> str:
    names = {"noop": "noop", "random": "random", "sft": "SFT", "rl": "SFT + RL"}
    scores = {
        label: {"pass_hat": result["pass_hat"][name], "interval_95": result["interval_95"][name]}
        for name, label in names.items()
    }
    lines = [
        f"{result['proved']} tasks proved; checkers caught {result['mutation_score']:.2%} of all mutants beforehand",
        f"{result['held_out']} held-out tasks over databases that nothing was trained on, against the trained user:",
        "",
        describe_scores(scores),
        "",
        f"run: {result['run']}  report: {page}  ({result['seconds']:.0f} s)",
    ]
    return "\n".join(lines)
