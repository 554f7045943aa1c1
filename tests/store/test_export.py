import json
from pathlib import Path

import pytest

from veriloop.core.errors import InputError
from veriloop.core.message import Message, ToolCall, ToolResult, Turn
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.store.export import export, to_chat
from veriloop.store.result import iter_dialogues
from veriloop.store.run import create_run, open_run


def rows_of(run: Path, domain: Domain, to, out: Path, **options) -> list[dict]:
    with open_run(run) as opened:
        done = export(opened, domain, to, out=out, **options)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert (done.rows, done.path) == (len(rows), str(out))
    return rows


def test_whole_dialogues_in_the_agents_view(small_run: Path, parcel: Domain, tasks: list[Task], tmp_path: Path):
    rows = rows_of(small_run, parcel, "messages", tmp_path / "a.jsonl")
    assert {row["task_id"] for row in rows} == {task.id for task in tasks}
    own = {tool.name for tool in parcel.tools.values() if tool.seat == "agent"}
    for row in rows:
        messages = row["messages"]
        assert messages[0] == {"role": "system", "content": parcel.policy}
        assert messages[1]["role"] == "assistant"
        assert 1 not in row["loss_on"]
        assert all(messages[position]["role"] == "assistant" for position in row["loss_on"])
        assert sum(message["role"] == "assistant" for message in messages) == len(row["loss_on"]) + 1
        assert {tool["function"]["name"] for tool in json.loads(row["tools"])} == own
        called = [call["function"]["name"] for message in messages for call in message.get("tool_calls", ())]
        assert called and set(called) <= own


def test_whole_dialogues_in_the_users_view(small_run: Path, parcel: Domain, tmp_path: Path):
    rows = rows_of(small_run, parcel, "messages", tmp_path / "u.jsonl", seat="user")
    own = {tool.name for tool in parcel.tools.values() if tool.seat == "user"}
    for row in rows:
        messages = row["messages"]
        assert "Reason for call" in messages[0]["content"] and parcel.policy not in messages[0]["content"]
        assert messages[1]["role"] == "user"
        assert {tool["function"]["name"] for tool in json.loads(row["tools"])} == own
        assert row["loss_on"] == [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        assert "###" in messages[row["loss_on"][-1]]["content"]


def test_one_row_per_turn(small_run: Path, parcel: Domain, tmp_path: Path):
    whole = rows_of(small_run, parcel, "messages", tmp_path / "m.jsonl")
    turns = rows_of(small_run, parcel, "turns", tmp_path / "t.jsonl")
    assert len(turns) == sum(len(row["loss_on"]) for row in whole)
    for row in whole:
        mine = [turn for turn in turns if (turn["task_id"], turn["trial"]) == (row["task_id"], row["trial"])]
        assert [turn["turn"] for turn in mine] == list(range(len(row["loss_on"])))
        for turn, position in zip(mine, row["loss_on"], strict=True):
            assert turn["prompt"] == row["messages"][:position]
            assert turn["completion"] == [row["messages"][position]]


def test_each_view_hides_the_other_seats_tools(parcel: Domain, tasks: list[Task]):
    turns = (
        Turn(seat="agent", content="Hello"),
        Turn(
            seat="user",
            tool_calls=(ToolCall(id="u", name="check_app"),),
            results=(ToolResult(call_id="u", content="on"),),
        ),
        Turn(seat="user", content="It is on."),
        Turn(
            seat="agent",
            content="thinking aloud",
            tool_calls=(ToolCall(id="a", name="get_parcel", arguments={"tracking": "VP1"}),),
            results=(ToolResult(call_id="a", content="{}"),),
        ),
        Turn(seat="agent", **dict(Message(content="Done.", thinking="easy"))),
    )
    agent = to_chat(parcel, tasks[0], turns, "agent")
    assert [message["role"] for message in agent.messages] == [
        "system",
        "assistant",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert agent.messages[2]["content"] == "It is on."
    assert agent.messages[3]["tool_calls"][0]["function"] == {"name": "get_parcel", "arguments": '{"tracking": "VP1"}'}
    assert agent.messages[5]["reasoning_content"] == "easy"
    assert agent.produced == [3, 5]
    user = to_chat(parcel, tasks[0], turns, "user")
    assert [message["role"] for message in user.messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert "thinking aloud" not in json.dumps(user.messages)
    assert "easy" not in json.dumps(user.messages)
    assert user.produced == [2, 4]


@pytest.mark.parametrize("to", ["messages", "turns", "tau2"])
def test_equal_runs_give_equal_bytes(small_run: Path, parcel: Domain, tmp_path: Path, to):
    with open_run(small_run) as run:
        export(run, parcel, to, out=tmp_path / "a")
        export(run, parcel, to, out=tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != b""


def test_tau2_tasks_are_one_list(small_run: Path, parcel: Domain, tasks: list[Task], tmp_path: Path):
    with open_run(small_run) as run:
        assert export(run, parcel, "tau2", out=tmp_path / "tasks.json").rows == len(tasks)
    written = json.loads((tmp_path / "tasks.json").read_text())
    assert {task["id"] for task in written} == {task.id for task in tasks}
    assert all(task["evaluation_criteria"] for task in written)


def test_failed_dialogues_are_not_exported(small_run: Path, parcel: Domain, tmp_path: Path):
    with open_run(small_run) as source:
        first = next(iter(iter_dialogues(source)))
    with create_run(tmp_path / "run", {"domain": "parcel"}) as run:
        run.ledger.put(0, "synth", first.task.model_dump(mode="json"))
        for trial, outcome in enumerate(("pass", "fail", "error")):
            run.ledger.put(0, f"rollout:{trial}", first.trace.model_dump(mode="json"))
            run.ledger.put(0, f"verdict:{trial}", {"verdict": {"outcome": outcome, "reason": ""}})
        done = export(run, parcel, "messages")
        assert done.rows == 1
        assert done.path == str(tmp_path / "run" / "data" / "messages-agent.jsonl")


@pytest.mark.parametrize("to", ["messages", "turns", "tau2"])
def test_nothing_to_export(parcel: Domain, tmp_path: Path, to):
    with create_run(tmp_path / "run", {"domain": "parcel"}) as run:
        with pytest.raises(InputError, match="nothing to export"):
            export(run, parcel, to)
        with pytest.raises(InputError, match="is a directory"):
            export(run, parcel, to, out=tmp_path)
    assert not (tmp_path / "run" / "data").exists()


def test_trainers_library_reads_rows_unpadded(small_run: Path, parcel: Domain, tmp_path: Path):
    """Arrow gives every row the keys of all rows; neither arguments nor tools may pick up nulls that way."""
    datasets = pytest.importorskip("datasets")
    rows = rows_of(small_run, parcel, "messages", tmp_path / "a.jsonl")
    loaded = datasets.load_dataset(
        "json", data_files=str(tmp_path / "a.jsonl"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(loaded) == len(rows)
    for row, original in zip(loaded, rows, strict=True):
        assert row["tools"] == original["tools"]
        arguments = [call["function"]["arguments"] for m in row["messages"] for call in m.get("tool_calls") or ()]
        expected = [call["function"]["arguments"] for m in original["messages"] for call in m.get("tool_calls", ())]
        assert arguments == expected
        assert all(None not in json.loads(text).values() for text in arguments)
