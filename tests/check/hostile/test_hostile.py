"""Checkers that loop, hoard, reach out, forge verdicts or remember: each an error in time, and the engine as before."""

import json
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from veriloop.check.allow import LONGEST_SOURCE, CheckerError, validate_checker
from veriloop.check.sandbox import LIMITS, LONGEST_REASON, Sandbox
from veriloop.core.verdict import Outcome

HERE = Path(__file__).parent
HOSTILE: list[dict[str, str]] = tomllib.loads((HERE / "checkers.toml").read_text(encoding="utf-8"))["checker"]
IDS = [f"{checker['kind']}: {checker['name']}" for checker in HOSTILE]
IN_TIME = 2 * LIMITS["max_feed_duration_secs"] + 4
"""Seconds: the limit, the second after which a worker is killed, and what a busy machine takes to do it."""
KINDS = {
    "loop", "memory", "recursion", "file", "network", "process", "internals", "output", "mutation", "chance", "state",
    "forged",
}  # fmt: skip
GROWN_MB = 100
"""The parent takes in what checkers answer before it refuses it; a worker may hold 50 MB."""


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """What a process of its own tells that ran them all, with both walls and with the sandbox alone."""
    done = subprocess.run([sys.executable, str(HERE / "engine.py")], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not Path("/tmp/veriloop-hostile").exists()
    return json.loads(done.stdout)


def test_there_are_enough_of_every_kind():
    kinds = Counter(checker["kind"] for checker in HOSTILE)
    assert set(kinds) == KINDS
    assert min(kinds.values()) >= 5
    assert len(HOSTILE) >= 120
    assert len(set(IDS)) == len(HOSTILE)


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=IDS)
def test_each_is_an_error_within_its_limit(report, number):
    found = report["both"][number]
    assert found["outcome"] == "error"
    assert 0 < len(found["reason"]) <= LONGEST_REASON
    assert found["seconds"] < IN_TIME
    assert found["after"] == "I have done it.", "the next checker is an ordinary one"


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=IDS)
def test_the_sandbox_holds_each_without_the_list_of_what_is_allowed(report, number):
    found = report["alone"][number]
    assert found["outcome"] == ("pass" if HOSTILE[number].get("alone") == "harmless" else "error")
    assert 0 <= len(found["reason"]) <= LONGEST_REASON
    assert found["seconds"] < IN_TIME
    assert found["after"] == "I have done it."


def test_the_list_of_what_is_allowed_refuses_all_that_reach_out():
    outside = {"file", "network", "process", "internals", "chance"}
    for checker in [checker for checker in HOSTILE if checker["kind"] in outside]:
        with pytest.raises(CheckerError, match=r"checker line \d+: "):
            validate_checker(checker["source"])


def test_the_engine_is_as_it_was_before(report):
    assert report["grown_mb"] < GROWN_MB
    assert report["workers"] >= 1
    assert report["left"] == [], "no process is left behind"


def test_a_source_of_a_megabyte_is_refused_unread():
    source = "def check(changes, calls, messages):\n    return {'passed': True, 'reason': ''}\n" + "#" * 1_000_000
    with pytest.raises(CheckerError, match=f"{len(source)} characters, at most {LONGEST_SOURCE}"):
        validate_checker(source)


@pytest.fixture(scope="module")
def sandbox():
    made = Sandbox()
    yield made
    made.close()


REMEMBERS = {
    "passes the third time": ("SEEN = []\n", "SEEN.append(1)", "len(SEEN) > 2"),
    "passes when it has seen a pass": ("SEEN = []\n", "SEEN.extend(calls)", "len(SEEN) > 2 * len(calls)"),
    "uses up a generator": ("TURNS = (x for x in [1])\n", "pass", "not any(TURNS)"),
    "uses up a zip": ("TURNS = zip([1], [1])\n", "pass", "not list(TURNS)"),
    "keeps a part of a dict": ("SEEN = {}\n", "SEEN['n'] = SEEN.get('n', 0) + 1", "SEEN['n'] > 2"),
    "keeps it by another name": ("SEEN = []\n", "kept = SEEN\n    kept += [1]", "len(kept) > 2"),
}


@pytest.mark.parametrize("name", REMEMBERS)
def test_who_waits_for_a_later_case_waits_for_ever(sandbox, name):
    head, line, passed = REMEMBERS[name]
    source = f"{head}def check(changes, calls, messages):\n    {line}\n"
    source += f"    return {{'passed': {passed}, 'reason': ''}}\n"
    assert validate_checker(source) is False, "it may keep something"
    cases = [([], [{"name": "x"}] * 2, [])] * 6
    assert {verdict.outcome for verdict in sandbox.run(source, cases)} == {Outcome.FAIL}


def test_the_order_of_cases_makes_no_difference(sandbox):
    head, line, _ = REMEMBERS["passes when it has seen a pass"]
    source = f"{head}def check(changes, calls, messages):\n    {line}\n"
    source += "    return {'passed': len(SEEN) <= len(calls), 'reason': str(len(SEEN))}\n"
    cases = [([], [{"name": "x"}] * number, []) for number in range(4)]
    there = sandbox.run(source, cases)
    back = sandbox.run(source, cases[::-1])
    assert there == back[::-1]
