"""Rows as AReaL's tau2 data has them: turns for fine-tuning, tasks for RL, databases in a folder next to them.

Names of files and fields are those of the dataset card of `inclusionAI/AReaL-tau2-data` and of programs that read it:
`tau2_sft_train.jsonl` with `messages`, `answer` {role, content, thinking, tool_calls} and `metadata` {source_dialog_id,
turn_index, reason_for_call, scenario_id, correct, reward}; `tau2_rl_train.jsonl` with the fields of tau2's tasks, of
which `evaluation_criteria` is JSON text, ids that begin with the domain, and `db_path` into `tau2_rl_database/`.

Not found there and chosen here: `correct` is the trajectory verifier's word and `reward` the checker's; a call is
{id, type, function}, its arguments and the list `tools` are JSON text; `user_tools` has the names of the user's tools,
None when there are none. What the format cannot hold stands in the field `veriloop`, JSON text as well.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from veriloop.core.base import content_hash
from veriloop.core.message import Seat
from veriloop.domains.domain import Domain
from veriloop.domains.perspective import seat_tools
from veriloop.domains.task import Task
from veriloop.store.areal_task import name_task, restore_task
from veriloop.store.chat import Row, dump_tools, to_chat
from veriloop.store.mark import FIELD, write_mark
from veriloop.store.patch import make_patch
from veriloop.store.result import Dialogue
from veriloop.store.tau2 import to_tau2_task

SFT_FILE, RL_FILE, DATABASES = "tau2_sft_train.jsonl", "tau2_rl_train.jsonl", "tau2_rl_database"


def to_areal_sft(domain: Domain, dialogue: Dialogue, seat: Seat = "agent") -> Iterator[Row]:
    """Yield a row for each turn of a seat: what was said before it and the turn as the answer to learn.

    Thoughts stand in the answers alone. The last row also has what followed it, so that rows make a whole dialogue.
    """
    task, (messages, produced) = dialogue.task, _view(domain, dialogue, seat)
    passed = dialogue.verdict.passed
    metadata = {
        "source_dialog_id": f"{domain.name.rpartition('/')[2]}_dialog_{task.id}_{dialogue.trial}",
        "reason_for_call": task.user.reason_for_call,
        "scenario_id": task.id,
        "correct": int(dialogue.findings.get("success", passed)),
        "reward": float(passed),
    }
    origin = {"task": task.id, "database": task.initial.database, "domain": domain.name, "seat": seat}
    tools = dump_tools(domain, seat, alone=task.initial.ticket is not None)
    for number, place in enumerate(produced):
        after = messages[place + 1 :] if place == produced[-1] else []
        row: Row = {
            "messages": [_forget(message) for message in messages[:place]],
            "answer": _answer(messages[place]),
            "metadata": {**metadata, "turn_index": number},
            "tools": tools,
        }
        about = {**origin, "plan": task.provenance.plan, "turns": len(produced), "after": after}
        yield {**row, FIELD: write_mark(row, **about)}


def to_areal_rl(task: Task, data: dict[str, Any] | None, db_path: str | None, user_tools: Sequence[str] = ()) -> Row:
    """Return a task as an RL row, from which `read_areal` makes the same task again.

    data: tau2's `initialization_data`; of what is in the file at `db_path` (relative to the rows) the row has no copy.
    db_path: None when there is no such file because whoever has the domain has the database.
    """
    if data and db_path:
        data = {**data, "agent_data": None}
    tau2 = to_tau2_task(task, data)
    row: Row = {
        **tau2,
        "id": name_task(task),
        "evaluation_criteria": json.dumps(tau2["evaluation_criteria"], ensure_ascii=False),
        "db_path": db_path,
        "user_tools": list(user_tools) or None,
    }
    bare = restore_task(row, lambda *_: None, own=True)
    patch = make_patch(bare.model_dump(mode="json"), task.model_dump(mode="json"))
    return {**row, FIELD: write_mark(row, db="file" if db_path else "package", task=patch)}


def name_snapshot(domain: str, database: str) -> str:
    """Return the name of a database's file: its id, made fit for a path without two becoming one."""
    name = f"{domain.rpartition('/')[2]}_{database}"
    plain = re.sub(r"[^\w.-]", "-", name)
    return f"{plain}.json" if plain == name else f"{plain}-{content_hash(name, 8)}.json"


def list_user_tools(domain: Domain) -> list[str]:
    """Return the names of the user's tools."""
    return [tool.name for tool in seat_tools(domain, "user")]


def _view(domain: Domain, dialogue: Dialogue, seat: Seat) -> tuple[list[Row], list[int]]:
    chat = to_chat(domain, dialogue.task, dialogue.trace.turns, seat)
    return chat.messages, chat.produced


def _forget(message: Row) -> Row:
    return {key: value for key, value in message.items() if key != "reasoning_content"}


def _answer(message: Row) -> Row:
    return {
        "role": "assistant",
        "content": message["content"],
        "thinking": message.get("reasoning_content", ""),
        "tool_calls": message.get("tool_calls", []),
    }
