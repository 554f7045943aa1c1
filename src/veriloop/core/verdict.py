"""What a checker found about one dialogue."""

from enum import StrEnum

from veriloop.core.base import Frozen


class Outcome(StrEnum):
    """A checker's answer; ERROR means that the checker broke, which never counts against the agent."""

    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"


class Verdict(Frozen):
    """Outcome and the reason in words."""

    outcome: Outcome
    reason: str

    @property
    def passed(self) -> bool:
        """True only for a pass."""
        return self.outcome is Outcome.PASS
