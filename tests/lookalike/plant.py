"""Planting faults: each kind in so many rows at random, and the truth about which rows they are."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike.clean import Place, find_places
from veriloop.domains.held_out import find_held_out
from veriloop.domains.registry import load_domain
from veriloop.domains.snapshot import take_snapshot
from veriloop.store.areal import RL_FILE, SFT_FILE
from veriloop.store.fault import Fault

Row = dict[str, Any]
Truth = dict[Fault, set[tuple[str, int]]]
"""Fault -> (file, row) of every row that it was planted in."""


@dataclass(frozen=True)
class Turn:
    """How a fault gets into a turn's row. make: the row spoilt, as an object or a line. behind: it is a row more.

    needs: what a row must be like.
    """

    make: Callable[[Row, random.Random], Row | bytes]
    needs: Callable[[Place], bool] = lambda place: True
    behind: bool = False


def _calling(place: Place) -> bool:
    return place.calls > 0


def _speaking(place: Place) -> bool:
    return place.speaks


def _call_of(row: Row) -> tuple[int, Row]:
    return next((n, m) for n, m in enumerate(row["messages"]) if m.get("tool_calls"))


def _edit_call(row: Row, **fields: Any) -> Row:
    _, message = _call_of(row)
    message["tool_calls"][0]["function"] |= fields
    return row


def _edit_arguments(row: Row, **arguments: Any) -> Row:
    given = json.loads(_call_of(row)[1]["tool_calls"][0]["function"]["arguments"])
    return _edit_call(row, arguments=json.dumps({**arguments, **given}))


def _about(**fields: Any) -> Callable[[Row, random.Random], Row]:
    return lambda row, rng: {**row, "metadata": {**row["metadata"], **fields}}


def _cut(row: Row, rng: random.Random) -> bytes:
    line = json.dumps(row).encode()
    return line[: rng.randrange(1, len(line) - 1)]


_DIALECTS: tuple[Callable[[str, Any], str], ...] = (
    lambda name, given: f"<tool_call>\n{json.dumps({'name': name, 'arguments': given})}\n</tool_call>",
    lambda name, given: f"```json\n{json.dumps({'name': name, 'arguments': given}, indent=2)}\n```",
    lambda name, given: f"<function={name}>{json.dumps(given)}</function>",
    lambda name, given: f"<|python_tag|>{json.dumps({'name': name, 'parameters': given})}<|eom_id|>",
    lambda name, given: f"[TOOL_CALLS] {json.dumps([{'name': name, 'arguments': given}])}",
)


def _call_in_text(row: Row, rng: random.Random) -> Row:
    place, message = _call_of(row)
    [call] = message.pop("tool_calls")
    function = call["function"]
    message["content"] += rng.choice(_DIALECTS)(function["name"], json.loads(function["arguments"]))
    del row["messages"][place + 1]["tool_call_id"]
    return row


def _mislabel(row: Row, rng: random.Random) -> Row:
    _, message = _call_of(row)
    wanted = message["tool_calls"][-1]["id"]
    result = next(said for said in row["messages"] if said.get("tool_call_id") == wanted)
    if rng.randrange(2):
        result["tool_call_id"] = "call_of_nobody"
    else:
        del result["tool_call_id"]
    return row


def _without_tools(row: Row, rng: random.Random) -> Row:
    """Take the tools away, and the name of the domain, which would have them too."""
    about = {**row["metadata"], "source_dialog_id": row["metadata"]["source_dialog_id"].replace("_dialog_", "_talk_")}
    tools = rng.choice(({}, {"tools": None}, {"tools": "[]"}, {"tools": ""}))
    return {**{key: value for key, value in row.items() if key != "tools"}, "metadata": about, **tools}


def _edit_tools(change: Callable[[list[Row]], list[Row]]) -> Callable[[Row, random.Random], Row]:
    return lambda row, rng: {**row, "tools": json.dumps(change(json.loads(row["tools"])))}


def _empty(row: Row, rng: random.Random) -> Row:
    return {**row, "answer": {**row["answer"], "content": rng.choice(("", " \n"))}}


def _without_ids(row: Row, rng: random.Random) -> Row:
    place, message = _call_of(row)
    for call in message["tool_calls"]:
        del call["id"]
    for result in row["messages"][place + 1 : place + 1 + len(message["tool_calls"])]:
        del result["tool_call_id"]
    return row


def _swap(row: Row, rng: random.Random) -> Row:
    place, _ = _call_of(row)
    messages = row["messages"]
    messages[place], messages[place + 1] = messages[place + 1], messages[place]
    return row


def _user_calls(row: Row, rng: random.Random) -> Row:
    call = {"id": "user_0", "type": "function", "function": {"name": "check_status_bar", "arguments": "{}"}}
    said = [
        {"role": "user", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "user_0", "content": "No signal"},
    ]
    row["messages"][2:2] = said
    return row


def _say(text: str) -> Callable[[Row, random.Random], Row]:
    def make(row: Row, rng: random.Random) -> Row:
        row["messages"][2]["content"] += text
        return row

    return make


def _answer(row: Row, rng: random.Random) -> Row:
    row["answer"]["content"] += f" Your reference is QX{rng.randrange(10**6, 10**7)}."
    return row


def _demand(text: str) -> Callable[[Row, random.Random], Row]:
    def make(row: Row, rng: random.Random) -> Row:
        row["messages"][0]["content"] += f"\n{text}"
        return row

    return make


def _twice(row: Row, rng: random.Random) -> Row:
    about = {**row["metadata"], "source_dialog_id": f"{row['metadata']['source_dialog_id']}_again"}
    messages = [{**m, "content": m["content"].upper()} if m["role"] == "user" else m for m in row["messages"]]
    return {**row, "metadata": about, "messages": messages}


def _same_id(row: Row, rng: random.Random) -> Row:
    row["answer"]["content"] += " Certainly."
    return row


TURNS: dict[Fault, Turn] = {
    Fault.BAD_JSON: Turn(_cut),
    Fault.BAD_ROW: Turn(lambda row, rng: {**row, "messages": "none"}),
    Fault.BAD_CALL: Turn(lambda row, rng: _edit_call(row, arguments='{"email": '), _calling),
    Fault.NO_ID: Turn(_about(source_dialog_id=None)),
    Fault.DUPLICATE_ID: Turn(_same_id, behind=True),
    Fault.NULL_ARGUMENTS: Turn(lambda row, rng: _edit_arguments(row, zip=None, order_id=None), _calling),
    Fault.CALL_IN_TEXT: Turn(_call_in_text, _calling),
    Fault.MIXED_SEATS: Turn(_user_calls),
    Fault.DIALECT: Turn(lambda row, rng: _edit_call(row, arguments=json.loads(
        _call_of(row)[1]["tool_calls"][0]["function"]["arguments"])), _calling),
    Fault.CALL_IDS: Turn(_without_ids, _calling),
    Fault.RESULT_IDS: Turn(_mislabel, _calling),
    Fault.TOOL_ORDER: Turn(_swap, _calling),
    Fault.BAD_TOOLS: Turn(lambda row, rng: {**row, "tools": row["tools"][:50]}),
    Fault.NO_TOOLS: Turn(_without_tools, _calling),
    Fault.TOOL_DIALECT: Turn(_edit_tools(lambda tools: [tools[0]["function"], *tools[1:]])),
    Fault.DUPLICATE_TOOL: Turn(_edit_tools(lambda tools: [*tools, tools[0]])),
    Fault.UNKNOWN_TOOL: Turn(lambda row, rng: _edit_call(row, name="look_up_everything"), _calling),
    Fault.BAD_ARGUMENTS: Turn(lambda row, rng: _edit_arguments(row, colour="red"), _calling),
    Fault.EMPTY_REPLY: Turn(_empty, _speaking),
    Fault.UNGROUNDED: Turn(_answer, _speaking),
    Fault.DISAGREEMENT: Turn(_about(correct=0)),
    Fault.DUPLICATE: Turn(_twice, _calling, behind=True),
    Fault.CONTRADICTION: Turn(_demand(
        "You must ask every caller for their date of birth. You must never ask every caller for their date of birth.")),
    Fault.TOO_LONG: Turn(_say(" please" * 20_000)),
    Fault.PERSONAL_DATA: Turn(_say(" Write to jane.roe.1979@gmail.com, please.")),
    Fault.BROKEN_DIALOGUE: Turn(_say(" Or rather something else.")),
}  # fmt: skip


def _criteria(row: Row, change: Callable[[Row], Any]) -> Row:
    criteria = json.loads(row["evaluation_criteria"])
    change(criteria)
    return {**row, "evaluation_criteria": json.dumps(criteria)}


def _unnamed(row: Row) -> Row:
    scenario = row["user_scenario"]
    instructions = {**scenario["instructions"], "domain": ""}
    return {**row, "id": f"x-{row['id']}", "user_scenario": {**scenario, "instructions": instructions}}


def _shout(row: Row) -> Row:
    return {**row, "user_scenario": {**row["user_scenario"], "persona": "You shout at everybody."}}


def _spoil_gold(criteria: Row) -> None:
    criteria["actions"][-1] |= {"name": "look_up_everything", "arguments": {}}


FOREIGN_TASKS: dict[Fault, Callable[[Row], Row]] = {
    Fault.BAD_CRITERIA: lambda row: {**row, "evaluation_criteria": row["evaluation_criteria"].replace('"', "'")},
    Fault.NO_DOMAIN: _unnamed,
    Fault.NO_DB_PATH: lambda row: {**row, "db_path": None},
    Fault.UNSAFE_DB_PATH: lambda row: {**row, "db_path": "../../../etc/passwd"},
    Fault.NO_DATABASE: lambda row: {**row, "db_path": "tau2_rl_database/gone.json"},
    Fault.LOST: lambda row: _criteria(row, lambda criteria: criteria.update(nl_assertions=["The agent is polite."])),
    Fault.BAD_GOLD: lambda row: _criteria(row, _spoil_gold),
}
OWN_TASKS: dict[Fault, Callable[[Row], Row]] = {
    Fault.CHANGED: _shout,
    Fault.NEWER: lambda row: {**row, "veriloop": row["veriloop"].replace('"version":2', '"version":9', 1)},
}


def plant(folder: Path, each: int, seed: int = 0) -> Truth:
    """Spoil a clean folder's files in place; every kind of fault gets into `each` rows."""
    rng = random.Random(seed)
    return {
        fault: places
        for part in (_plant_turns(folder, each, rng), _plant_tasks(folder, each, rng))
        for fault, places in part.items()
    }


def _plant_turns(folder: Path, each: int, rng: random.Random) -> Truth:
    kinds = dict(TURNS)
    if person := _find_held_out(folder):
        kinds[Fault.LEAKAGE] = Turn(
            _say(f" My user id is {person}."), lambda place: place.dialogue.startswith("retail")
        )
    chosen = _choose(find_places(folder), kinds, each, rng)
    truth: Truth = {fault: set() for fault in kinds}

    def lines() -> Iterator[bytes]:
        count = 0
        with (folder / SFT_FILE).open("rb") as source:
            for number, line in enumerate(source, 1):
                fault = chosen.get(number)
                made = kinds[fault].make(json.loads(line), rng) if fault else line
                made = made if isinstance(made, bytes) else json.dumps(made, ensure_ascii=False).encode()
                for text in (line, made) if fault and kinds[fault].behind else (made,):
                    count += 1
                    yield text.rstrip(b"\n") + b"\n"
                if fault:
                    truth[fault].add((SFT_FILE, count))

    _replace(folder / SFT_FILE, lines())
    return truth


def _choose(places: list[Place], kinds: dict[Fault, Turn], each: int, rng: random.Random) -> dict[int, Fault]:
    """Return row -> fault, never two in one dialogue, and not where it cannot be told which row is at fault."""
    dialogues: dict[str, list[Place]] = {}
    for place in places:
        dialogues.setdefault(place.dialogue, []).append(place)
    names = list(dialogues)
    rng.shuffle(names)
    chosen: dict[int, Fault] = {}
    for fault, kind in kinds.items():
        for _ in range(each):
            for name in names:
                fit = [p for p in dialogues[name] if p.turn > 0 and p.followers != 1 and kind.needs(p)]
                if fit:
                    chosen[rng.choice(fit).row] = fault
                    names.remove(name)
                    break
            else:
                raise ValueError(f"no dialogue is left for {fault}")
    return chosen


def _plant_tasks(folder: Path, each: int, rng: random.Random) -> Truth:
    rows = [json.loads(line) for line in (folder / RL_FILE).read_text().splitlines()]
    truth: Truth = {}
    for kinds, own in ((FOREIGN_TASKS, False), (OWN_TASKS, True)):
        fit = [place for place, row in enumerate(rows) if ("veriloop" in row) == own and _has_actions(row)]
        chosen = iter(rng.sample(fit, each * len(kinds)))
        for fault, make in kinds.items():
            for place in [next(chosen) for _ in range(each)]:
                rows[place] = make(rows[place])
                truth.setdefault(fault, set()).add((RL_FILE, place + 1))
    _replace(folder / RL_FILE, (json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows))
    return truth


def _has_actions(row: Row) -> bool:
    return bool(json.loads(row["evaluation_criteria"])["actions"])


def _find_held_out(folder: Path) -> str:
    """Return a customer of retail's whom the benchmark's tasks are about, empty where the data has no retail."""
    if not any((folder / "tau2_rl_database").glob("retail_*")):
        return ""
    domain = load_domain("tau2/retail")
    held_out = find_held_out(domain)
    tables = take_snapshot(domain, domain.database("train", 0))
    assert held_out and tables
    return next(key for key in tables["users"] if held_out.has_entity(key))


def _replace(path: Path, lines: Iterator[bytes]) -> None:
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.writelines(lines)
    fresh.replace(path)
