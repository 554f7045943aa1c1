"""Every error veriloop raises on purpose; the message names what, where and what to do next."""


class VeriloopError(Exception):
    """Root of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


class InputError(VeriloopError):
    """What the caller gave cannot be used: a bad option, file, domain or run directory."""

    exit_code = 2


class GateError(VeriloopError):
    """The work finished but a requirement put on its result was not met."""

    exit_code = 1


class BudgetError(VeriloopError):
    """A spending limit stopped the work; what was done until then is stored."""

    exit_code = 3


class ToolError(VeriloopError):
    """A tool refused a call (unknown entity, bad argument); becomes the tool's result, the state is unchanged."""


class PlayerError(VeriloopError):
    """A player could not answer for reasons outside its policy (endpoint down): the dialogue is void, not lost."""
