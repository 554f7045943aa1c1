"""`veriloop probe`."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from veriloop.cli.output import Result, align_table, show_progress
from veriloop.cli.synth import Models
from veriloop.engine.probe import CASES
from veriloop.pipeline.probe import Probe, probe_roles


def probe_command(
    domain: str,
    *,
    models: Models | None = None,
    least: Annotated[int, Parameter(validator=Number(gte=0, lte=CASES))] = 4,
) -> Result:
    """Ask each role's model five cases whose right answer is known, before it works for money.

    Ends with exit code 1 when a role has fewer right answers than `--least`.

    Parameters
    ----------
    domain
        A name from `veriloop domains` or a path to a Python file.
    least
        Right answers of five that every role needs.
    """
    models = models or Models()
    with show_progress("probing") as progress:
        found = probe_roles(domain, models.read(None), least=least, max_usd=models.max_usd, progress=progress)
    return Result(found.model_dump(mode="json"), _describe(found), 0 if found.ok else 1)


def _describe(found: Probe) -> str:
    head = ["role", "right", "of", "tokens", "USD", "slowest (s)"]
    rows = [
        [
            role,
            probe.right,
            len(probe.cases),
            int(probe.spent.get("prompt_tokens", 0) + probe.spent.get("completion_tokens", 0)),
            probe.spent.get("dollars", 0.0),
            max((answer.seconds for answer in probe.cases), default=0.0),
        ]
        for role, probe in found.roles.items()
    ]
    wrong = [
        f"{role}, {answer.case}: {answer.wrong}"
        for role, probe in found.roles.items()
        for answer in probe.cases
        if answer.wrong
    ]
    return "\n".join([align_table(head, rows), *wrong])
