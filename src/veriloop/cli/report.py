"""`veriloop report`."""

from pathlib import Path

from veriloop.cli.output import Result
from veriloop.report.page import write_report


def report_command(run: Path, compare: Path | None = None) -> Result:
    """Write RUN/report.html: yield, proofs, curves, scores and whole dialogues in one file that works offline.

    Parameters
    ----------
    run
        A run directory.
    compare
        A second run to set beside it.
    """
    path = write_report(run, compare)
    return Result({"path": str(path)}, str(path))
