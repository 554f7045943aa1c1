"""`veriloop export`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from veriloop.cli.output import Result
from veriloop.core.message import Seat
from veriloop.domains.registry import load_domain
from veriloop.store.export import Choice, Format, export
from veriloop.store.run import open_run
from veriloop.store.split import Grouping


def export_command(
    run: Path,
    *,
    to: Annotated[Format, Parameter(name="--to")],
    seat: Seat = "agent",
    out: Path | None = None,
    keep: Literal["good", "passed", "all"] = "good",
    split_by: Grouping | None = None,
    test_share: Annotated[float, Parameter(validator=Number(gt=0, lt=1))] = 0.1,
) -> Result:
    """Write a run's dialogues in a form that trainers load.

    Parameters
    ----------
    run
        A run directory.
    to
        messages: a whole dialogue per row. turns: a row per turn of the seat. tau2: the tasks as tau2 task files.
        areal: a folder of turns, tasks and databases, as AReaL's tau2 example trains on.
    seat
        Whose view: the agent's, or the user's with the user as the assistant.
    out
        The file to write, for areal the folder; by default it goes into the run's `data` folder.
    keep
        good: what the checker passed and the trajectory verifier did not object to. passed: the checker's word alone.
        all: failed dialogues of proved tasks too.
    split_by
        Mark rows as train or test: by database, by who calls (entity), or by plan, never both of one group.
    test_share
        Share of the groups that are for testing.
    """
    choice = Choice(keep=keep, split=split_by, share=test_share)
    with open_run(run) as opened:
        exported = export(opened, load_domain(opened.domain), to, seat=seat, out=out, choice=choice)
    return Result(exported.model_dump(), f"{exported.rows} rows in {exported.path}")
