"""How many checks a minute the sandbox makes: `python bench/checks.py`.

Checkers and cases are those of a run of parcel: each task's gold, its mutants and its other valid paths, as the proof
hands them over. A process per check is timed beside it, pair by pair, since other work on the machine slows both.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from veriloop.check.allow import validate_checker
from veriloop.check.compile import Case
from veriloop.check.sandbox import Sandbox
from veriloop.core.verdict import Verdict
from veriloop.domains.registry import load_domain
from veriloop.engine.synthesize import SynthConfig
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.proof.prove import prove
from veriloop.store.artefact import read_tasks

Work = list[tuple[str, list[Case]]]
"""Checkers, each with its cases."""
PAIRS, BATCH = 7, 30
_TAIL = """
import json, sys
print(json.dumps(check(*json.load(sys.stdin))))
"""


class Recorder(Sandbox):
    """A sandbox that keeps what it is handed."""

    def __init__(self) -> None:
        super().__init__()
        self.cases: list[Case] = []

    def run(self, source: str, cases: Sequence[Case]) -> list[Verdict]:
        self.cases += cases
        return super().run(source, cases)


def collect(tasks: int) -> Work:
    """Return the checkers of a run and all that their proofs handed to them."""
    domain, recorder, work = load_domain("parcel"), Recorder(), list[tuple[str, list[Case]]]()
    with tempfile.TemporaryDirectory() as folder:
        run_synthesis("parcel", Path(folder) / "run", SynthConfig(n=tasks, seed=1, rounds=0, evolve=False))
        for task in read_tasks(Path(folder) / "run"):
            recorder.cases = []
            prove(domain, task, recorder)
            work.append((task.checker, recorder.cases))
    recorder.close()
    return work


def check_all(work: Work, workers: int) -> float:
    """Return checks per second with so many workers, each in the hands of a thread; their start is not counted."""
    sandboxes = [Sandbox() for _ in range(workers)]
    for sandbox in sandboxes:
        sandbox.run(work[0][0], work[0][1][:1])

    def check_part(number: int) -> None:
        for source, cases in work[number::workers]:
            sandboxes[number].run(source, cases)

    with ThreadPoolExecutor(workers) as pool:
        start = time.perf_counter()
        list(pool.map(check_part, range(workers)))
        seconds = time.perf_counter() - start
    for sandbox in sandboxes:
        sandbox.close()
    return sum(len(cases) for _, cases in work) / seconds


def make_watched(work: Work) -> Work:
    """Return the work with checkers that could keep something, as those written by models may."""
    changed = [(f"{source}\n\ndef note(kept):\n    kept.append(1)\n", cases) for source, cases in work]
    assert not any(validate_checker(source) for source, _ in changed)
    return changed


def check_by_process(source: str, case: Case) -> bool:
    done = subprocess.run(
        [sys.executable, "-I", "-c", source + _TAIL], input=json.dumps(case), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)["passed"]


def compare(work: Work) -> tuple[float, float, float]:
    """Return the medians of checks per second, in the sandbox and by a process for each, and of their ratio."""
    sandbox = Sandbox()
    flat = [(source, case) for source, cases in work for case in cases]

    def time_batch(check: Callable[[str, Case], bool], number: int) -> float:
        batch = flat[number * BATCH : (number + 1) * BATCH]
        start = time.perf_counter()
        for source, case in batch:
            check(source, case)
        return BATCH / (time.perf_counter() - start)

    def check_here(source: str, case: Case) -> bool:
        return sandbox.run(source, [case])[0].passed

    time_batch(check_here, 0)
    pairs = [(time_batch(check_here, n), time_batch(check_by_process, n)) for n in range(1, PAIRS + 1)]
    sandbox.close()
    ours, theirs = zip(*pairs, strict=True)
    return statistics.median(ours), statistics.median(theirs), statistics.median(a / b for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-n", "--tasks", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    work = collect(chosen.tasks)
    checks, watched = sum(len(cases) for _, cases in work), make_watched(work)
    print(f"{len(work)} checkers, {checks} checks, {os.cpu_count()} cores; best of {chosen.repeat}:")
    for name, some in (("that can keep nothing", work), ("that could, each case by itself and twice", watched)):
        for workers in (1, 2):
            rate = max(check_all(some, workers) for _ in range(chosen.repeat))
            print(f"  checkers {name}, {workers} worker(s): {rate:,.0f} checks/s, {60 * rate:,.0f} a minute")
    ours, theirs, ratio = compare(work)
    print(f"a process for each check: {theirs:,.1f} checks/s, the sandbox beside it {ours:,.0f}: {ratio:,.0f} times")


if __name__ == "__main__":
    main()
