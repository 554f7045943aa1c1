"""`veriloop export`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from veriloop.cli.output import Result
from veriloop.core.message import Seat
from veriloop.domains.registry import load_domain
from veriloop.store.export import Format, export
from veriloop.store.run import open_run


def export_command(
    run: Path,
    *,
    to: Annotated[Format, Parameter(name="--to")],
    seat: Seat = "agent",
    out: Path | None = None,
) -> Result:
    """Write a run's good dialogues in a form that trainers load.

    Parameters
    ----------
    run
        A run directory.
    to
        messages: a whole dialogue per row. turns: a row per turn of the seat. tau2: the tasks as tau2 task files.
    seat
        Whose view: the agent's, or the user's with the user as the assistant.
    out
        The file to write; by default it goes into the run's `data` folder.
    """
    with open_run(run) as opened:
        exported = export(opened, load_domain(opened.domain), to, seat=seat, out=out)
    return Result(exported.model_dump(), f"{exported.rows} rows in {exported.path}")
