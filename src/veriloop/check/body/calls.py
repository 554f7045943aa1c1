"""Calls that change nothing and are due all the same, and the reads that they and a refusal rest on."""

from typing import Any

CALLS: list[str] = []
READS: list[tuple[str, dict[str, Any]]] = []


# ---
def fold_case(arguments):
    """Return arguments with their texts in lower case: what found something may have been typed either way."""
    return {name: value.lower() if isinstance(value, str) else value for name, value in arguments.items()}


def count_needed(calls):
    """Return after how many calls everything in READS was read by the agent, None when something never was."""
    needed = 0
    for name, arguments in READS:
        made = []
        for position, call in enumerate(calls):
            found = call["seat"] == "agent" and call["name"] == name and not call["error"]
            if found and fold_case(call["arguments"]) == fold_case(arguments):
                made.append(position)
        if not made:
            return None
        needed = max(needed, made[0] + 1)
    return needed


def check_calls(calls):
    """Return which call that changes nothing is missing or came too soon, or None."""
    needed = count_needed(calls)
    for wanted in CALLS:
        made = []
        for position, call in enumerate(calls):
            if call["name"] == wanted and call["seat"] == "agent" and not call["error"]:
                made.append(position)
        if not made:
            return f"{wanted} was not called"
        if needed is None or made[0] < needed:
            return f"{wanted} was called before what it rests on was read"
    return None
