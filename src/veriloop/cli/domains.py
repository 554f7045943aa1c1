"""`veriloop domains`."""

from veriloop.cli.output import Result, align_table
from veriloop.domains.registry import list_domains


def domains_command() -> Result:
    """List the domains that can be named."""
    found = list_domains()
    rows = [
        (info.name, info.about, f"pip install 'veriloop[{info.needs}]'" if info.needs else "ready") for info in found
    ]
    text = align_table(("domain", "what it is", "state"), rows)
    return Result({"domains": [info.model_dump() for info in found]}, f"{text}\nor a path/to/domain.py of your own")
