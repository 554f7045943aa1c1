"""The flags that keep a command to a part of a domain."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from veriloop.engine.plan import Scope


@Parameter(name="*")
@dataclass(frozen=True)
class Only:
    """What tasks may be about."""

    only_tools: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()
    """Write tools that tasks may be about; all by default."""
    only_tiers: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()
    """Of single, compound, refusal and partial; all by default."""

    def scope(self) -> Scope:
        """Return the same as synthesis takes it."""
        return Scope(tools=self.only_tools, tiers=self.only_tiers)
