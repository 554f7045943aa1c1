"""The entry point: reads the command line, runs one command, prints its result or one line about what is wrong."""

import difflib
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

import veriloop
from veriloop.cli.output import Result, write_error, write_result
from veriloop.core.errors import InputError, VeriloopError

COMMANDS = {
    "demo": "The whole chain on the embedded parcel domain, with real training.",
    "domains": "What there is to work on.",
    "check": "What to mend in a domain of your own.",
    "probe": "Whether models are up to the engine's roles.",
    "estimate": "What a run with models will ask for and cost.",
    "synth": "Proved tasks with demonstrations.",
    "export": "Data that trainers load.",
    "audit": "What is wrong with anybody's training data.",
    "sft": "Fine-tune a user or an agent on a run's dialogues.",
    "rl": "Train an agent by GRPO on a run's tasks.",
    "eval": "Measure an agent: pass^k with intervals.",
    "serve": "A trained model behind an OpenAI-compatible endpoint.",
    "fidelity": "A run's tasks beside the tau2 benchmark's own.",
    "ablate": "Measure what a part of the method is worth.",
    "report": "One page about a run that works offline.",
}
"""Command -> what it does, for the overview, which must not import any of them."""
INTERRUPTED, CLOSED = 130, 141


def make_app() -> App:
    """Return the application; a command's module is imported when the command is run or its help is shown."""
    app = App(
        name="veriloop",
        help="From a domain (tools, database, policy) to a trained tool-using agent, with proof at every step.",
        version=veriloop.__version__,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    app.meta.suppress_keyboard_interrupt = False
    for name, what in COMMANDS.items():
        app.command(f"veriloop.cli.{name}:{name}_command", name=name, help=what)

    @app.meta.default
    def launch(
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        json: Annotated[bool, Parameter(negative="")] = False,
    ) -> int:
        """Run one command.

        Parameters
        ----------
        json
            Print one JSON object on stdout and nothing else there.
        """
        _check_command(tokens)
        # Libraries that print would spoil the JSON, so they print on stderr.
        with redirect_stdout(sys.stderr) if json else nullcontext():
            result = app(tokens, exit_on_error=False, print_error=False)
        if isinstance(result, Result):
            write_result(result, as_json=json)
            if result.then:
                result.then()
            return result.code
        return 0

    return app


def _check_command(tokens: Sequence[str]) -> None:
    """Refuse an unknown command here: cyclopts would import every command to find a near one."""
    if not tokens or tokens[0].startswith("-") or tokens[0] in COMMANDS:
        return
    close = difflib.get_close_matches(tokens[0], COMMANDS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"commands are {', '.join(COMMANDS)}"
    raise InputError(f"there is no command {tokens[0]!r}; {hint}")


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code: 0 done, 1 gate not met, 2 bad input, 3 stopped by budget."""
    try:
        # Help and version return nothing.
        launched = make_app().meta(
            list(arguments), exit_on_error=False, print_error=False, result_action="return_value"
        )
        return launched or 0
    except CycloptsError as error:
        command = f"{arguments[0]} " if arguments and arguments[0] in COMMANDS else ""
        write_error(f"{str(error).rstrip('. ')}; see veriloop {command}--help")
        return 2
    except VeriloopError as error:
        write_error(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        write_error("interrupted; what was finished is stored, run it again to go on (synth and demo: with --resume)")
        return INTERRUPTED


def main() -> None:
    """Run the command line of this process."""
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough (`| head`); nothing more is written, not even when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = CLOSED
    sys.exit(code)


if __name__ == "__main__":
    main()
