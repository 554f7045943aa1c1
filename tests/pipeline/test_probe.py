"""Graded cases for each role: a good model gets them right, and what is wrong with a bad one is named."""

import asyncio
import json
from typing import Any

import pytest

from servers import faulty
from servers.http import Handler
from servers.roles import RoleServer
from veriloop.cli.main import run
from veriloop.core.errors import BudgetError, InputError
from veriloop.core.message import Message, ToolCall
from veriloop.engine.plan import Workflow
from veriloop.engine.planner import write_plans
from veriloop.engine.probe import CASES, find_moments, find_told, grade_agent, grade_user
from veriloop.engine.role.model import ROLES, RoleModel
from veriloop.engine.setting import Order
from veriloop.engine.stream import make_item
from veriloop.pipeline.probe import Probe, probe_roles
from veriloop.pipeline.synthesis import make_bench
from veriloop.rollout.experts import load_expert

JUDGES = ("task_verifier", "trajectory_verifier")


def probe(server: RoleServer, *names: Any, **options: Any) -> Probe:
    model = RoleModel(model="m", base_url=server.base_url, prices=(1.0, 2.0), width=8, attempts=2)
    return probe_roles("parcel", dict.fromkeys(names or ROLES, model), **options)


@pytest.fixture
def serve(parcel):
    servers: list[RoleServer] = []

    def start(**options: Any) -> RoleServer:
        servers.append(RoleServer(parcel, load_expert("parcel"), **options).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def test_who_plays_well_gets_all_right_and_who_nods_everything_through_does_not(serve):
    server, moves = serve(), list[tuple[int, int]]()
    found = probe(server, progress=lambda done, count: moves.append((done, count)))
    assert {role: len(answered.cases) for role, answered in found.roles.items()} == dict.fromkeys(ROLES, CASES)
    for role, answered in found.roles.items():
        if role not in JUDGES:
            assert answered.right == CASES, (role, answered.cases)
    assert {role: found.roles[role].right for role in JUDGES} == {"task_verifier": 3, "trajectory_verifier": 2}
    said = {answer.wrong for role in JUDGES for answer in found.roles[role].cases if answer.wrong}
    assert said == {"lets a wrong task through", "lets a bad dialogue through"}
    assert not found.ok and probe(server, "user", "planner").ok
    assert sum(answered.spent["answers"] for answered in found.roles.values()) <= server.answered
    assert all(answered.spent["dollars"] > 0 for answered in found.roles.values())
    assert moves[-1] == (CASES * len(ROLES),) * 2


def test_who_objects_to_everything_fails_too(serve):
    server = serve()
    for role in JUDGES:
        answer = {"good": False, "problems": ["I do not like it"], "success": False, "evidence": "I do not like it"}
        fields = ("good", "problems") if role == "task_verifier" else ("success", "evidence")
        said = {"content": json.dumps({key: answer[key] for key in fields})}
        setattr(server, f"play_{role}", lambda _body, said=said: said)
    found = probe(server, *JUDGES)
    assert {role: answered.right for role, answered in found.roles.items()} == {
        "task_verifier": 2,
        "trajectory_verifier": 3,
    }
    assert any("objects to a proved task: I do not like it" in a.wrong for a in found.roles["task_verifier"].cases)


@pytest.mark.parametrize("role", ROLES)
def test_a_model_that_only_chats_gets_nothing_right(serve, role):
    def chat(handler: Handler, _body: dict[str, Any]) -> bool:
        faulty.say({"content": "Sure! Let me help you with that."})(handler)
        return True

    found = probe(serve(fault=chat), role)
    answered = found.roles[role]
    assert not found.ok and len(answered.cases) == CASES
    # A user may chat where it has nothing to tell, do or end.
    assert answered.right <= (1 if role == "user" else 0), answered.cases


def test_an_endpoint_that_is_down_is_what_is_wrong(serve):
    def fail(handler: Handler, _body: dict[str, Any]) -> bool:
        faulty.status(500, {"retry-after": "0"})(handler)
        return True

    found = probe(serve(fault=fail), "agent", "planner")
    assert all("HTTP 500" in answer.wrong for answered in found.roles.values() for answer in answered.cases)
    assert found.roles["agent"].spent["answers"] == 0


def test_a_refused_key_is_bad_input(serve):
    def refuse(handler: Handler, _body: dict[str, Any]) -> bool:
        faulty.status(401)(handler)
        return True

    with pytest.raises(InputError, match="refuses"):
        probe(serve(fault=refuse), "agent")
    with pytest.raises(InputError, match="no role is played"):
        probe_roles("parcel", {})


def test_no_more_is_paid_than_allowed(serve):
    with pytest.raises(BudgetError):
        probe(serve(), "agent", max_usd=0.0)


class TestGrades:
    @pytest.fixture(scope="class")
    def items(self, parcel):
        bench, pairs = make_bench(parcel), write_plans(parcel, 5)
        orders = [Order(seed=3, item=number) for number in range(60)]
        return [asyncio.run(make_item(bench, pairs[o.item % 5], Workflow(), o, lambda _: False)) for o in orders]

    def test_what_the_scripts_did_is_right_everywhere(self, parcel, items):
        graded = 0
        for item in items:
            for moment in find_moments(parcel, item, "user"):
                message = Message(content=moment.turn.content, tool_calls=moment.turn.tool_calls)
                assert grade_user(moment, message) == ""
                graded += 1
            for moment in find_moments(parcel, item, "agent"):
                if moment.turn.tool_calls and not any(result.error for result in moment.turn.results):
                    assert grade_agent(parcel, moment, Message(tool_calls=moment.turn.tool_calls)) == ""
                    graded += 1
        assert graded > 60

    def test_a_user_is_wrong_in_many_ways(self, parcel, items):
        moments = [moment for item in items for moment in find_moments(parcel, item, "user")]
        telling = next(moment for moment in moments if find_told(moment) and not moment.turn.tool_calls)
        ending = next(moment for moment in moments if "###STOP###" in moment.turn.content)
        acting = next(moment for moment in moments if moment.turn.tool_calls)
        told = telling.turn.content
        tool = acting.turn.tool_calls[0].name
        assert "does not say" in grade_user(telling, Message(content="I would rather not say."))
        assert grade_user(telling, Message(content=f"{told} ###STOP###")) == "ends with ###STOP###"
        assert "makes up" in grade_user(telling, Message(content=f"{told} My code is XJ-99812."))
        assert grade_user(telling, Message(malformed="cut")) == "cut"
        assert grade_user(ending, Message(content="Fine.")) == "does not end with ###STOP###"
        assert grade_user(acting, Message(content="I will not.")) == f"calls no tool instead of {tool}"
        call = ToolCall(id="x", name=tool, arguments={})
        assert grade_user(ending, Message(tool_calls=(call,))) == f"calls {tool} instead of speaking"

    def test_an_agent_is_wrong_in_many_ways(self, parcel, items):
        moments = [m for item in items for m in find_moments(parcel, item, "agent") if m.turn.tool_calls]
        kinds = {parcel.tools[moment.turn.tool_calls[0].name].kind: moment for moment in moments}
        reading, writing = kinds["read"], kinds["write"]
        assert "speaks instead" in grade_agent(parcel, writing, Message(content="Done."))
        assert grade_agent(parcel, reading, Message(malformed="cut")) == "cut"
        unknown = ToolCall(id="x", name="no_such_tool", arguments={})
        assert "unknown tool" in grade_agent(parcel, reading, Message(tool_calls=(unknown,)))
        right = writing.turn.tool_calls[0]
        other = right.model_copy(update={"arguments": {**right.arguments, "more": 1}})
        assert "instead of" in grade_agent(parcel, writing, Message(tool_calls=(other,)))
        assert "instead of" in grade_agent(parcel, writing, Message(tool_calls=reading.turn.tool_calls))


def test_the_command_prints_a_table_and_what_was_wrong(serve, capsys):
    server = serve()
    model = ["--roles", "llm", "--model", "m", "--base-url", server.base_url]
    assert run(["probe", "parcel", *model]) == 1
    table = capsys.readouterr().out
    assert table.startswith("role") and "task_verifier, a task with another one's instruction: lets" in table
    assert run(["probe", "parcel", *model, "--least", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] and found["roles"]["agent"]["right"] == CASES
    assert run(["probe", "parcel"]) == 2
    assert "no role is played" in capsys.readouterr().err
