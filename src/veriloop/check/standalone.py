"""Files of checkers that a model wrote: they hold the checker as text, and hand it to a sandbox to prove it."""

import pprint

from veriloop.check.compile import Case
from veriloop.check.sandbox import LIMITS, POLICY

_FILE = '''"""A checker that a model wrote, with a right dialogue and wrong ones to prove it on.

Run this file. Python never runs the checker, which is but a text here: pydantic-monty does, a sandbox with limits.
"""

import sys

CHECKER = """\\
{source}"""

RIGHT = {right}

WRONG = {wrong}

LIMITS = {limits}
POLICY = {policy}


def passes(pool, case):
    """Return whether the checker passes a dialogue, in a session of its own."""
    inputs = dict(zip(("changes", "calls", "messages"), case, strict=True))
    with pool.checkout(limits=LIMITS, os_policy=POLICY) as session:
        session.feed_run(CHECKER)
        return session.feed_run("check(changes, calls, messages)", inputs=inputs)["passed"] is True


if __name__ == "__main__":
    try:
        from pydantic_monty import Monty
    except ImportError:
        sys.exit("refused: a model wrote this checker and there is no sandbox for it; pip install pydantic-monty")
    with Monty() as pool:
        assert passes(pool, RIGHT), "the right dialogue fails"
        for name, case in WRONG.items():
            assert not passes(pool, case), "a wrong dialogue passes: " + name
    print("ok: 1 right,", len(WRONG), "wrong")
'''


def render_sandboxed_file(source: str, right: Case, wrong: dict[str, Case]) -> str:
    """Return the standalone file of a checker that is not to be run outside of a sandbox."""
    parts = {"right": right, "wrong": wrong, "limits": LIMITS, "policy": POLICY}
    return _FILE.format(source=_quote(source), **{name: _format(part) for name, part in parts.items()})


def _quote(source: str) -> str:
    """Return a text as it stands between three double quotes: as it is, but for what would end or change it."""
    quoted = source.replace("\\", "\\\\").replace('"""', '\\"\\"\\"').replace("\r", "\\r")
    return quoted if quoted.endswith("\n") else f"{quoted}\n"


def _format(value: object) -> str:
    return pprint.pformat(value, width=110, sort_dicts=True)
