"""Databases written as files and read back: the domain over the file behaves like the one it came from."""

import json
from pathlib import Path
from typing import Any

import pytest

from veriloop.core.errors import InputError
from veriloop.core.message import ToolCall
from veriloop.domains.domain import Domain
from veriloop.domains.registry import BUILT_IN, load_domain
from veriloop.domains.snapshot import mount, take_snapshot
from veriloop.domains.task import Initial
from veriloop.store.tau2 import find_data

READS = {
    "parcel": ("parcels", "get_parcel", "tracking"),
    "tau2/airline": ("reservations", "get_reservation_details", "reservation_id"),
    "tau2/retail": ("orders", "get_order_details", "order_id"),
    "tau2/telecom": ("lines", "get_details_by_id", "id"),
}


def save(folder: Path, content: Any) -> Path:
    path = folder / "db.json"
    path.write_text(json.dumps(content))
    return path


def keys(content: dict[str, Any], table: str) -> list[str]:
    rows = content[table]
    return list(rows) if isinstance(rows, dict) else [row["line_id"] for row in rows]


def ask(domain: Domain, database: str, name: str, **arguments: Any) -> str:
    return (
        domain.open(Initial(database=database)).call("agent", ToolCall(id="c", name=name, arguments=arguments)).content
    )


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_file_holds_the_whole_database(name: str, tmp_path: Path):
    domain = load_domain(name)
    database = domain.database("train", 1 if name in ("parcel", "tau2/telecom") else 0)
    content = take_snapshot(domain, database)
    assert content
    there = mount(domain, save(tmp_path, content))
    assert take_snapshot(there, database) == content
    table, read, argument = READS[name]
    for key in keys(content, table)[:20]:
        answer = ask(there, "any-0" if name == "parcel" else "train-0", read, **{argument: key})
        assert answer == ask(domain, database, read, **{argument: key})
        assert not answer.startswith("Error")


def test_a_changed_file_is_what_the_tools_read(parcel: Domain, tmp_path: Path):
    content = take_snapshot(parcel, "train-3")
    assert content
    key = next(iter(content["parcels"]))
    content["parcels"][key]["street"] = "1 Elsewhere"
    there = mount(parcel, save(tmp_path, content))
    assert "1 Elsewhere" in ask(there, "train-0", "get_parcel", tracking=key)
    assert "1 Elsewhere" not in ask(parcel, "train-3", "get_parcel", tracking=key)


def test_initialization_data_is_laid_over_the_file(tmp_path: Path):
    domain = load_domain("tau2/telecom")
    content = take_snapshot(domain, domain.database("train", 2))
    data: Any = find_data(domain, _task("train-2"))
    start = {"agent_data": {"plans": []}, "user_data": data["user_data"]}
    there: Any = mount(domain, save(tmp_path, content), start)
    opened = there.open(Initial(database="x"))
    assert not list(opened.state.plans)
    ours: Any = domain.open(Initial(database="train-2"))
    answers = [
        session.call("user", ToolCall(id="c", name="check_status_bar", arguments={})) for session in (opened, ours)
    ]
    assert answers[0].content == answers[1].content


def _task(database: str) -> Any:
    class Stub:
        initial = Initial(database=database)

    return Stub()


@pytest.mark.parametrize(
    ("text", "why"),
    [("{", "cannot read"), ("[]", "is no database"), ('{"parcels": {}}', "is no database"), ("[" * 100_000, "cannot")],
)
def test_what_is_no_database_is_named(parcel: Domain, tmp_path: Path, text: str, why: str):
    path = tmp_path / "db.json"
    path.write_text(text)
    with pytest.raises(InputError, match=f"{why}.*check the row's db_path"):
        mount(parcel, path)
    with pytest.raises(InputError, match=r"cannot read.*none\.json"):
        mount(parcel, tmp_path / "none.json")


def test_a_domain_without_files_says_so(parcel: Domain, tmp_path: Path):
    class Bare:
        name = "bare"

    bare: Any = Bare()
    assert take_snapshot(bare, "train-0") is None
    with pytest.raises(InputError, match="'bare' cannot read a database"):
        mount(bare, save(tmp_path, {}))
