"""`veriloop check`."""

from veriloop.cli.output import Result, show_progress
from veriloop.pipeline.check_domain import check_domain


def check_command(domain: str, *, seed: int = 0) -> Result:
    """Check a domain: declarations, behaviour of its tools, and whether synthesis reaches every clause and tool.

    Parameters
    ----------
    domain
        A name from `veriloop domains` or a path to a Python file.
    seed
        Which people and calls are tried.
    """
    with show_progress(f"checking {domain}") as progress:
        findings = check_domain(domain, seed=seed, progress=progress)
    lines = [f"{finding.where}: {finding.what}\n  -> {finding.fix}" for finding in findings]
    data = {"ok": not findings, "findings": [finding.model_dump() for finding in findings]}
    return Result(data, "\n".join(lines) if findings else f"{domain}: nothing to mend", 1 if findings else 0)
