"""How checkers judge what writers who had not seen their words had agents say: refusals, and what is none.

python bench/refusals.py [--show]

--show: print every one that is judged wrongly.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from veriloop.check.body import read_part
from veriloop.check.sandbox import shared_sandbox
from veriloop.core.verdict import Outcome

WORDINGS = Path(__file__).parent.parent / "tests" / "check" / "wordings"
PARTS = "\n\n\n".join(read_part(name) for name in ("calls", "speech", "vocabulary", "refusal"))
CHECKER = """CALLS, READS, REFUSES = [], [], True
GOLD = {gold!r}
ACTS = {acts!r}
OWN = {own!r}

{parts}


def check(changes, calls, messages):
    problem = check_refusal(calls, messages)
    return {{"passed": not problem, "reason": problem or "as expected"}}
"""


def judge_task(task: dict[str, Any], show: bool) -> dict[bool, list[bool]]:
    """Return by right and wrong which of the task's wordings are judged as they should be."""
    acts = [tuple(act) for act in task["acts"]]
    source = CHECKER.format(gold=dict.fromkeys(task["done"]), acts=acts, own=task["own"], parts=PARTS)
    cases = [([], [], [{"seat": "agent", "content": text, "calls": 0} for text in said["messages"]])
             for said in task["said"]]  # fmt: skip
    found: dict[bool, list[bool]] = {True: [], False: []}
    for said, verdict in zip(task["said"], shared_sandbox().run(source, cases), strict=True):
        assert verdict.outcome is not Outcome.ERROR, verdict.reason
        found[said["right"]].append((verdict.outcome is Outcome.PASS) == said["right"])
        if show and not found[said["right"]][-1]:
            print(f"  {'right' if said['right'] else 'wrong'}, {said['kind']}: {' / '.join(said['messages'])}")
    return found


def main() -> None:
    """Judge both sets and print how many are judged right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    for path in sorted(WORDINGS.glob("*.jsonl")):
        judged = [judge_task(json.loads(line), given.show) for line in path.read_text(encoding="utf-8").splitlines()]
        rights, wrongs = ([found for task in judged for found in task[kind]] for kind in (True, False))
        print(f"{path.stem}: {sum(rights)} of {len(rights)} right ones pass, {sum(wrongs)} of {len(wrongs)} wrong fail")


if __name__ == "__main__":
    main()
