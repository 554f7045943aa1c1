"""The page of an audit: what was found, where, how bad it is and what to do about it."""

from pathlib import Path

from veriloop.pipeline.audit import Outcome
from veriloop.report.page import make_environment, read_style
from veriloop.store.audit.result import Gate, describe_file
from veriloop.store.fault import Severity
from veriloop.store.file import write_text

MANY = 200
"""Row numbers that are listed of one kind of finding."""


def write_audit_page(found: Outcome, gate: Gate, path: Path) -> Path:
    """Write one HTML file without scripts or outside links and return its path; what comes from rows is escaped."""
    write_text(path, render_audit(found, gate).rstrip("\n"))
    return path


def render_audit(found: Outcome, gate: Gate) -> str:
    """Return the page."""
    kinds = found.audit.findings
    counts = {s: sum(kind.count for kind in kinds.values() if kind.severity is s) for s in reversed(Severity)}
    page = make_environment().get_template("audit.html.j2")
    return page.render(
        audit=found.audit,
        ok=found.ok,
        gate=gate,
        cleaned=found.cleaned,
        clean_ok=found.after.passes(gate) if found.after else None,
        counts=counts,
        describe_file=describe_file,
        many=MANY,
        style=read_style(),
    )
