"""Whole runs whose roles are played by a server, well, with a defect, and with a line that fails."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import veriloop.engine.synthesize as synthesize
from servers import faulty
from servers.http import Handler
from servers.roles import RoleServer
from veriloop.cli.main import INTERRUPTED
from veriloop.core.errors import BudgetError, InputError
from veriloop.engine.role.model import ROLES, RoleModel
from veriloop.engine.stream import AHEAD
from veriloop.engine.synthesize import SynthConfig, SynthResult
from veriloop.llm.cache import Cache
from veriloop.pipeline.roles import Troupe, check_roles
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.rollout.experts import load_expert
from veriloop.store.artefact import read_tasks
from veriloop.store.manifest import find_differences
from veriloop.store.result import iter_dialogues
from veriloop.store.run import open_run

DATABASES = 6
LISTENING = """
import signal
from veriloop.cli.main import main

# Tests that are run in the background ignore Ctrl-C, and a child inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
FAULTS = (
    faulty.status(429), faulty.status(500), faulty.status(503, {"retry-after": "0"}), faulty.cut_json(),
    faulty.cut_body(), faulty.hang_up(), faulty.empty_choices(), faulty.html_page(),
    faulty.call("{", "get_parcel"), faulty.call("{}", "no_such_tool"), faulty.say({"content": ""}),
)  # fmt: skip

_NAMED = re.compile(r"(?:Your name is|You are called|Your name:|You are) ([A-Z]\w+ [A-Z]\w+)\.")


class Troubles:
    """Spoils a share of all requests, by what is asked and how often it was asked already, at most twice in a row."""

    def __init__(self, share: float, silence: float = 0.0) -> None:
        self.share, self.silence = share, silence
        self.count = Counter[str]()
        self.made = Counter[str]()

    def __call__(self, handler: Handler, body: dict[str, Any]) -> bool:
        key = json.dumps(body["messages"])
        self.count[key] += 1
        rng = random.Random(f"{key} {self.count[key]}")
        if self.count[key] % 3 == 0 or rng.random() >= self.share:
            return False
        number = rng.randrange(len(FAULTS) + (self.silence > 0))
        self.made[str(number)] += 1
        if number == len(FAULTS):
            time.sleep(self.silence)
            handler.close_connection = True
        else:
            FAULTS[number](handler)
        return True


@pytest.fixture
def serve(parcel):
    """Start good servers; `fault` spoils requests, `spoil` changes what the synthesiser hands in first."""
    servers: list[RoleServer] = []

    def start(**options: Any) -> RoleServer:
        server = RoleServer(parcel, load_expert("parcel"), **{"databases": DATABASES, **options})
        servers.append(server.__enter__())
        return server

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def config(server: RoleServer, **changes: Any) -> SynthConfig:
    model = RoleModel(model="m", base_url=server.base_url, prices=(1.0, 2.0), timeout=changes.pop("timeout", 20.0))
    chosen = {"n": 10, "seed": 3, "rounds": 0, "evolve": False, "databases": DATABASES, **changes}
    return SynthConfig(**{"roles": dict.fromkeys(ROLES, model), **chosen})


def count(result: SynthResult, what: str) -> int:
    return int(sum(used[what] for used in result.spent.values()))


def ids(out: Path) -> list[str]:
    return [task.id for task in read_tasks(out)]


class TestGoodServer:
    @pytest.fixture(scope="class")
    def made(self, parcel, tmp_path_factory):
        with RoleServer(parcel, load_expert("parcel"), databases=DATABASES) as server:
            out = tmp_path_factory.mktemp("roles") / "run"
            chosen = config(server, rounds=1, evolve=True, pilot=8, plans=3, search="llm")
            yield out, run_synthesis("parcel", out, chosen), server

    def test_every_role_is_asked_and_every_count_adds_up(self, made):
        _, result, server = made
        assert result.proved == 10
        assert set(result.spent) == set(ROLES) == set(server.roles)
        assert (count(result, "attempts"), count(result, "answers")) == (server.asked, server.answered)
        assert {role: used["attempts"] for role, used in result.spent.items()} == server.roles
        tokens = count(result, "prompt_tokens") + 2 * count(result, "completion_tokens")
        assert sum(used["dollars"] for used in result.spent.values()) == pytest.approx(tokens / 1e6)

    def test_what_it_made_is_proved_played_and_whole(self, made):
        out, result, _ = made
        assert result.mutation_score == 1.0
        assert find_differences(out) == []
        with open_run(out) as run:
            dialogues = list(iter_dialogues(run, good=True))
            assert len(dialogues) == 10
            for dialogue in dialogues:
                assert dialogue.trace.players == {"agent": "openai:m", "user": "openai:m"}
                assert dialogue.findings["opinion"] == {"success": True, "fault": None, "evidence": ""}
            rounds = result.rounds
            assert rounds[0].accepted and len(rounds) == 2

    def test_nothing_is_asked_twice_when_it_is_resumed(self, made):
        out, result, server = made
        asked = server.asked
        roles = {role: RoleModel.model_validate(used) for role, used in _stored_roles(out).items()}
        chosen = config(server, rounds=1, evolve=True, pilot=8, plans=3, search="llm", roles=roles)
        again = run_synthesis("parcel", out, chosen, resume=True)
        assert server.asked == asked
        assert again.model_copy(update={"seconds": 0}) == result.model_copy(update={"seconds": 0})


def _stored_roles(out: Path) -> dict[str, Any]:
    with open_run(out) as run:
        return run.ledger.get_meta("config")["roles"]


class TestFailingLine:
    def test_the_same_tasks_come_of_it_and_each_failed_call_is_repeated(self, serve, tmp_path):
        good, troubles = serve(), Troubles(0.3, silence=1.5)
        bad = serve(fault=troubles)
        whole = run_synthesis("parcel", tmp_path / "good", config(good))
        broken = run_synthesis("parcel", tmp_path / "bad", config(bad, timeout=0.75))
        assert ids(tmp_path / "good") == ids(tmp_path / "bad")
        assert broken.proved == whole.proved == 10
        assert len(troubles.made) == len(FAULTS) + 1, "every kind of fault came up"
        # Time-outs under load may add repetitions that nobody planned, and lose no answer.
        assert bad.asked - sum(troubles.made.values()) >= good.asked
        assert count(broken, "attempts") >= bad.asked

    def test_a_run_killed_again_and_again_asks_only_what_was_in_flight(self, serve, tmp_path):
        server = serve(databases=50)
        table = tmp_path / "roles.toml"
        table.write_text(f'[default]\nmodel = "m"\nbase_url = "{server.base_url}"\nwidth = 4\n')
        command = [
            sys.executable, "-m", "veriloop.cli.main", "synth", "parcel", "-n", "10", "--seed", "3", "--no-evolve",
            "--rounds", "0", "--roles", str(table), "--out", str(tmp_path / "run"), "--json",
        ]  # fmt: skip
        rng, kills = random.Random(4), 0
        for _ in range(4):
            before = server.answered
            process = subprocess.Popen([*command, "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            goal = before + rng.randrange(10, 45)
            while process.poll() is None and server.answered < goal:
                time.sleep(0.005)
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            process.wait()
        assert kills >= 3
        done = subprocess.run([*command, "--resume"], capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["proved"] == 10
        again = serve(databases=50)
        table.write_text(f'[default]\nmodel = "m"\nbase_url = "{again.base_url}"\nwidth = 4\n')
        fresh = [*command[:-2], str(tmp_path / "fresh"), "--json"]
        assert subprocess.run(fresh, capture_output=True, timeout=120).returncode == 0
        assert ids(tmp_path / "fresh") == ids(tmp_path / "run")
        assert server.asked - again.asked <= kills * 4


def forget_gold(submission: dict[str, Any]) -> None:
    submission["gold"] = []


@pytest.fixture
def one_item(monkeypatch):
    """End runs of one task after their first item, whatever came of it."""
    monkeypatch.setattr(synthesize, "ITEMS_PER_TASK", -19)


class TestDefects:
    def test_a_draft_that_cannot_be_proved_is_mended(self, serve, tmp_path):
        result = run_synthesis("parcel", tmp_path / "run", config(serve(spoil=forget_gold)))
        assert result.proved == 10
        with open_run(tmp_path / "run") as run:
            drafts = [entry.payload for entry in run.ledger.entries("drafts")]
        first = [r for draft in drafts for r in draft["rejections"] if r["stage"] == "proof"]
        assert len(first) >= 10
        assert all((r["repair"], r["stage"]) == (0, "proof") for r in first)

    def test_what_is_never_mended_is_given_up(self, serve, tmp_path, one_item):
        server = serve(spoil=forget_gold, mends=False)
        result = run_synthesis("parcel", tmp_path / "run", config(server, n=1, plans=1))
        assert result.proved == 0
        with open_run(tmp_path / "run") as run:
            rejections = next(iter(run.ledger.entries("drafts"))).payload["rejections"]
        tried = Counter(rejection["attempt"] for rejection in rejections if rejection["stage"] == "proof")
        assert tried and set(tried.values()) == {3}, "a draft and two repairs"

    def test_an_objecting_task_verifier_sends_it_back(self, serve, tmp_path):
        server = serve()
        objected = set[str]()
        good = server.play_task_verifier

        def object_once(body: dict[str, Any]) -> dict[str, Any]:
            who = re.search(
                r"(?:Your name is|You are called|Your name:|You are) ([A-Z]\w+ [A-Z]\w+)\.",
                body["messages"][0]["content"],
            )
            assert who
            if who[1] in objected:
                return good(body)
            objected.add(who[1])
            return {"content": json.dumps({"good": False, "problems": ["the caller sounds like a robot"]})}

        server.play_task_verifier = object_once  # pyright: ignore[reportAttributeAccessIssue]
        result = run_synthesis("parcel", tmp_path / "run", config(server))
        assert result.proved == 10
        with open_run(tmp_path / "run") as run:
            drafts = [entry.payload for entry in run.ledger.entries("drafts")]
        reviewed = [r for draft in drafts for r in draft["rejections"] if r["stage"] == "review"]
        assert {r["reason"] for r in reviewed} == {"the caller sounds like a robot"}
        assert len(reviewed) >= 8

    def test_a_dialogue_the_trajectory_verifier_condemns_is_kept_apart_with_its_blame(self, serve, tmp_path, one_item):
        server = serve()
        condemned = {"success": False, "item": "clauses_kept", "at_fault": "agent", "evidence": "too curt"}
        server.play_trajectory_verifier = lambda _: {"content": json.dumps(condemned)}
        result = run_synthesis("parcel", tmp_path / "run", config(server, n=1, plans=1))
        assert result.proved == 0
        with open_run(tmp_path / "run") as run:
            failures = [entry.payload["judgement"] for entry in run.ledger.entries("failure:")]
            reasons = [
                r for e in run.ledger.entries("drafts") for r in e.payload["rejections"] if r["stage"] == "rollout"
            ]
        assert failures and all(found["verdict"]["outcome"] == "pass" for found in failures)
        blame = {"fault": "agent", "evidence": "clauses_kept: too curt", "opinion": True}
        assert all(found["blame"] == blame for found in failures)
        assert {(r["reason"], r["fault"]) for r in reasons} == {("clauses_kept: too curt", "agent")}

    def test_a_user_who_leaves_its_script_is_blamed_and_stored(self, serve, tmp_path, one_item):
        server = serve()
        good = server.play_user

        def invent(body: dict[str, Any]) -> dict[str, Any]:
            found = good(body)
            return {**found, "content": f"{found['content']} My code is QQ-99123."} if found["content"] else found

        server.play_user = invent  # pyright: ignore[reportAttributeAccessIssue]
        run_synthesis("parcel", tmp_path / "run", config(server, n=1, plans=1))
        with open_run(tmp_path / "run") as run:
            blames = [entry.payload["judgement"]["blame"] for entry in run.ledger.entries("failure:")]
        assert blames and {blame["fault"] for blame in blames} == {"user"}
        assert all("qq-99123" in blame["evidence"] for blame in blames)


class TestSolver:
    def test_a_model_tries_the_tasks_and_is_paid_as_the_solver(self, serve, tmp_path):
        server = serve()
        model = RoleModel(model="m", base_url=server.base_url, prices=(1.0, 2.0), width=4)
        tried = SynthConfig(n=3, rounds=0, evolve=False, roles={"solver": model}, band=(0.9, 1.0), trials=2)
        result = run_synthesis("parcel", tmp_path / "run", tried)
        assert (result.proved, result.solved) == (3, 1.0)
        assert set(server.roles) == {"agent"} and set(result.spent) == {"solver"}
        assert result.spent["solver"]["answers"] == server.answered
        with open_run(tmp_path / "run") as run:
            tries = [entry.payload for entry in run.ledger.entries("difficulty")]
        assert tries == [{"solver": "openai:m", "passed": 2, "tried": 2}] * 3


class TestInterruption:
    def test_ctrl_c_lets_answers_in_flight_come_in(self, serve, tmp_path):
        interrupted = threading.Event()

        def wait(handler: Handler, body: dict[str, Any]) -> bool:
            if server.answered >= 12:
                # Nothing ends before the interruption, however slow this machine is.
                interrupted.wait(60)
                time.sleep(0.15)
            return False

        server = serve(databases=50, fault=wait)
        table = tmp_path / "roles.toml"
        table.write_text(f'[default]\nmodel = "m"\nbase_url = "{server.base_url}"\nwidth = 6\n')
        command = [
            sys.executable, "-c", LISTENING, "synth", "parcel", "-n", "4", "--seed", "3", "--no-evolve",
            "--rounds", "0", "--roles", str(table), "--out", str(tmp_path / "run"), "--json", "--resume",
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while server.answered < 12 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        interrupted.set()
        _, said = process.communicate(timeout=60)
        assert process.returncode == INTERRUPTED, said
        assert said.count(b"\n") == 1 and b"interrupted" in said
        with closing(Cache(tmp_path / "run" / "cache.sqlite")) as cache:
            kept = sum(used["answers"] for used in cache.add_up().values())
        assert kept == server.answered == server.asked, "nothing that was asked is lost"
        assert subprocess.run(command, capture_output=True, timeout=120).returncode == 0
        with closing(Cache(tmp_path / "run" / "cache.sqlite")) as cache:
            assert sum(used["answers"] for used in cache.add_up().values()) == server.asked


class TestMoney:
    def test_the_limit_is_overshot_by_what_was_in_flight_at_most(self, serve, tmp_path):
        server = serve()
        chosen = config(server)
        with pytest.raises(BudgetError):
            run_synthesis("parcel", tmp_path / "run", chosen, max_usd=0.02)
        with open_run(tmp_path / "run") as run:
            spent = run.ledger.get_meta("spent")
        dearest = (server.largest[0] * 1.0 + server.largest[1] * 2.0) / 1e6
        assert 0.02 <= sum(used["dollars"] for used in spent.values()) <= 0.02 + 16 * dearest
        result = run_synthesis("parcel", tmp_path / "run", chosen, resume=True, max_usd=5.0)
        assert result.proved == 10
        assert count(result, "answers") == server.answered


class TestTroupe:
    def test_roles_without_a_model_are_scripted(self, parcel):
        roles: Any = {"user": RoleModel(model="m", base_url="http://127.0.0.1:9/v1", width=3)}
        bench = Troupe(parcel, roles, Cache()).make_bench()
        assert (bench.user.name, bench.width) == ("openai:m", 12)
        assert (bench.planner, bench.task_verifier, bench.trajectory_verifier) == (None, None, None)
        assert Troupe(parcel, {}, Cache()).make_bench().width == AHEAD

    def test_the_reflector_alone_makes_no_item_wait(self, parcel):
        roles: Any = {"reflector": RoleModel(model="m", base_url="http://127.0.0.1:9/v1")}
        troupe = Troupe(parcel, roles, Cache())
        assert troupe.make_bench().width == AHEAD
        assert troupe.search("llm") is not None

    def test_guidelines_of_ones_own_are_sent(self, serve, tmp_path):
        (tmp_path / "user.md").write_text("You play a customer who is always right. The script:")
        (tmp_path / "agent.md").write_text("Be kind.")
        server = serve()
        seen = list[str]()
        play = server._play

        def listen(player: Any, seat: Any, body: dict[str, Any], scenario: Any) -> dict[str, Any]:
            seen.append(body["messages"][0]["content"])
            return play(player, seat, body, scenario)

        server._play = listen  # pyright: ignore[reportAttributeAccessIssue]
        model = RoleModel(model="m", base_url=server.base_url, prompts=str(tmp_path))
        run_synthesis("parcel", tmp_path / "run", config(server, n=1, roles={"user": model, "agent": model}))
        assert any(text.startswith("You play a customer who is always right.") for text in seen)
        assert any(text.startswith("Be kind.\n# Parcel help desk") for text in seen)

    def test_prices_and_addresses_are_checked(self, tmp_path):
        roles: Any = {"user": RoleModel(model="m", base_url="ftp://x")}
        with pytest.raises(InputError, match="of the user is no address"):
            check_roles(roles, None)


def test_unreadable_opinions_leave_the_run_as_it_is(serve, tmp_path):
    server = serve()
    server.play_task_verifier = server.play_trajectory_verifier = lambda _: {"content": "Fine, I guess."}
    result = run_synthesis("parcel", tmp_path / "run", config(server, n=2))
    assert result.proved == 2


def test_several_threads_of_the_server_are_used(serve, tmp_path):
    """Items wait for the endpoint side by side: the run's time is not the sum of the waits."""
    inside, most, lock = 0, 0, threading.Lock()

    def slow(handler: Handler, body: dict[str, Any]) -> bool:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.05)
        with lock:
            inside -= 1
        return False

    run_synthesis("parcel", tmp_path / "run", config(serve(fault=slow), n=8))
    assert most >= 6


def test_where_nothing_listens_nothing_is_written(tmp_path):
    with faulty.FaultyServer() as server:
        nowhere = server.base_url
    model = RoleModel(model="m", base_url=nowhere)
    chosen = SynthConfig(n=1, roles={"user": model})
    with pytest.raises(InputError, match="nothing answers at"):
        run_synthesis("parcel", tmp_path / "run", chosen)
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_resumed_when_its_models_are_gone(parcel, tmp_path):
    with RoleServer(parcel, load_expert("parcel"), databases=DATABASES) as server:
        chosen = config(server, n=1)
        made = run_synthesis("parcel", tmp_path / "run", chosen)
    again = run_synthesis("parcel", tmp_path / "run", chosen, resume=True)
    assert again.proved == made.proved == 1
