"""Stands for the engine: runs every hostile checker in one sandbox and tells what came of them and of itself."""

import json
import resource
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

from veriloop.check import sandbox as under_test
from veriloop.check.sandbox import Sandbox

CASE: Any = (
    [{"table": "t", "key": "k", "before": {"a": 1}, "after": {"a": 2}}],
    [{"seat": "agent", "name": name, "arguments": {}, "error": False} for name in ("b", "a")],
    [{"seat": "agent", "content": "I have done it.", "calls": 2}],
)
ORDINARY = """
def check(changes, calls, messages):
    if [change["after"] for change in changes] != [{"a": 2}] or len(calls) != 2:
        return {"passed": False, "reason": str(changes)}
    return {"passed": True, "reason": messages[0]["content"]}
"""


def read_hostile() -> list[dict[str, str]]:
    """Return the hostile checkers: kind, name, source, and what comes of one that is alone with the sandbox."""
    return tomllib.loads((Path(__file__).parent / "checkers.toml").read_text(encoding="utf-8"))["checker"]


def run_all(sandbox: Sandbox) -> list[dict[str, Any]]:
    found = []
    for checker in read_hostile():
        start = time.monotonic()
        verdict = sandbox.run(checker["source"], [CASE])[0]
        seconds = time.monotonic() - start
        after = sandbox.run(ORDINARY, [CASE])[0]
        found.append({"outcome": verdict.outcome, "reason": verdict.reason, "seconds": seconds, "after": after.reason})
    return found


def list_children() -> list[str]:
    return [pid for thread in Path("/proc/self/task").iterdir() for pid in (thread / "children").read_text().split()]


def main() -> None:
    sandbox = Sandbox()
    sandbox.run(ORDINARY, [CASE])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    both = run_all(sandbox)
    # Without the first wall, every checker counts as one that could keep and change things.
    under_test.validate_checker = lambda source: False
    alone = run_all(sandbox)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    workers = len(list_children())
    sandbox.close()
    report = {"both": both, "alone": alone, "grown_mb": grown, "workers": workers, "left": list_children()}
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
