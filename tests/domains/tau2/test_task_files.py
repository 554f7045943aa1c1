"""Nothing but the official evaluation opens the package's task files: `open` is audited in a process of its own."""

import json
import subprocess
import sys

import pytest

WATCH = """
import json, random, sys
opened = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and "tau2" in arguments[0] and "task" in arguments[0]:
        if arguments[0].endswith((".json", ".toml", ".yaml", ".jsonl")):
            opened.append(arguments[0].rsplit("/", 2)[-2] + "/" + arguments[0].rsplit("/", 1)[-1])
sys.addaudithook(watch)
"""

SYNTHESIS = """
from veriloop.check.sandbox import shared_sandbox
from veriloop.domains.registry import load_domain
from veriloop.domains.clause import Case, find_denials
from veriloop.domains.task import Initial
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.proof.prove import attach_checker, prove
from veriloop.rollout.driver import play
from veriloop.rollout.episode import Episode
from veriloop.rollout.oracle import Oracle
from veriloop.rollout.scripted import ScriptedUser
from veriloop.store.tau2 import to_tau2_task
domain = load_domain("tau2/retail")
plans, proved = write_plans(domain, 2), 0
for item in range(6):
    task = synthesise(domain, plans[item % 2], Order(seed=3, item=item))
    if task:
        task = attach_checker(domain, task)
        proved += prove(domain, task, shared_sandbox()).ok
        play(Episode(domain, task), {"agent": Oracle(domain, {task.id: task}), "user": ScriptedUser()})
        to_tau2_task(task)
session = domain.open(Initial(database="test-0"))
for step in task.gold:
    find_denials(domain.clauses, Case(session.state, step.seat, step.call))
print(json.dumps([proved, opened]))
"""

OFFICIAL = """
from veriloop.domains.registry import load_domain
from veriloop.evaluate.official import official_tasks
domain = load_domain("tau2/retail")
before = list(opened)
official_tasks(domain, "test")
print(json.dumps([before, opened]))
"""


def run(code: str) -> list[object]:
    done = subprocess.run([sys.executable, "-c", WATCH + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("domain", ["airline", "retail", "telecom"])
def test_sessions_walks_clauses_synthesis_and_proofs_open_no_task_file(domain: str) -> None:
    proved, opened = run(SYNTHESIS.replace("retail", domain))
    assert isinstance(proved, int)
    assert proved >= 4
    assert opened == []


@pytest.mark.parametrize("domain", ["airline", "retail", "telecom"])
def test_the_official_evaluation_opens_them_when_it_is_asked_for_tasks(domain: str) -> None:
    before, opened = run(OFFICIAL.replace("retail", domain))
    assert before == []
    assert isinstance(opened, list)
    assert set(opened) == {f"{domain}/tasks.json", f"{domain}/split_tasks.json"}
