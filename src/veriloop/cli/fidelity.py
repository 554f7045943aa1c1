"""`veriloop fidelity`."""

from pathlib import Path

from veriloop.cli.output import Result, align_table
from veriloop.evaluate.fidelity import Fidelity
from veriloop.pipeline.fidelity import measure_fidelity


def fidelity_command(run: Path, *, split: str = "base") -> Result:
    """Lay a run's tasks beside the tau2 benchmark's own; the run's report shows it from then on.

    Parameters
    ----------
    run
        A run directory of a tau2 domain.
    split
        The official tasks to compare with: base, train or test.
    """
    found = measure_fidelity(run, split)
    return Result(found.model_dump(mode="json"), _draw(found))


def _draw(found: Fidelity) -> str:
    ours, official = found.ours, found.official
    rows = [
        ("tasks", f"{ours.tasks:,}", f"{official.tasks:,}"),
        ("reads in the gold", f"{ours.reads:.2f}", f"{official.reads:.2f}"),
        ("writes in the gold", f"{ours.writes:.2f}", f"{official.writes:.2f}"),
        ("without writes", f"{ours.no_write:.1%}", f"{official.no_write:.1%}"),
        ("words of an instruction", f"{ours.words:.0f}", f"{official.words:.0f}"),
        ("different words per 1,000", f"{ours.vocabulary:.0f}", f"{official.vocabulary:.0f}"),
        ("runs of five words of their own", f"{ours.variety:.1%}", f"{official.variety:.1%}"),
        ("turns of a dialogue", "" if ours.turns is None else f"{ours.turns:.1f}", ""),
        *(
            (name, f"{ours.tools.get(name, 0):.1%}", f"{official.tools.get(name, 0):.1%}")
            for name in sorted(ours.tools.keys() | official.tools.keys())
        ),
    ]
    table = align_table(("", "this run", f"official:{found.split}"), rows)
    return f"{table}\nmean difference of the tools' shares: {found.distance:.3f}"
