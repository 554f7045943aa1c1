"""What answers cost, and the limit that stops the work."""

from dataclasses import dataclass

from veriloop.core.errors import BudgetError
from veriloop.core.message import Usage


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, of the prompt and of the completion. Cached prompt tokens cost the same here."""

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, usage: Usage) -> float:
        """Return the dollars for an answer's tokens."""
        return (usage.prompt * self.prompt + usage.completion * self.completion) / 1e6


class Budget:
    """Money for a whole run, shared by all its clients. most: dollars; None for no limit."""

    def __init__(self, most: float | None = None, spent: float = 0.0) -> None:
        self.most, self.spent = most, spent
        self.halted = False

    def check(self) -> None:
        """Raise BudgetError when nothing is left; asked before every request, so only those in flight overshoot."""
        if self.halted:
            raise BudgetError("the run was stopped; what was done is stored")
        if self.most is not None and self.spent >= self.most:
            raise BudgetError(
                f"the limit of {self.most:g} USD is reached ({self.spent:.4f} spent); what was done is stored, "
                "resume with a larger --max-usd"
            )

    def charge(self, dollars: float) -> None:
        """Count what an answer cost."""
        self.spent += dollars

    def halt(self) -> None:
        """Refuse every request from now on."""
        self.halted = True
