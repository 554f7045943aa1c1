import json
from typing import Annotated, Any, Literal

import pytest

from veriloop.core.errors import InputError, ToolError
from veriloop.core.message import ToolCall
from veriloop.domains.database import Database, Row, Table
from veriloop.domains.session import Session, ToolkitSession, find_tool, parse_content
from veriloop.domains.source import Yield, ref
from veriloop.domains.tool import collect_tools, dump_result, tool


class Box(Row):
    code: str
    open: bool = False


class Store(Database):
    boxes: Table[Box]


class Desk:
    def __init__(self, db: Store) -> None:
        self.db = db

    @tool("read", yields=(Yield("code", "[].code"),))
    def list_boxes(self) -> list[Box]:
        """List all boxes."""
        return list(self.db.boxes)

    @tool("write", topics=("open a box",))
    def open_box(self, code: Annotated[str, ref("code", "box code")], force: bool = False, days: int = 1) -> Box:
        """Open a box
        for some days.

        Args:
            code: the code on the box
            force: even when it sticks
        """
        box = self.db.boxes.update(code, open=True)
        if days > 5:
            raise ToolError("too long")
        return box

    @tool("generic")
    def colour(self, name: Literal["red", "blue"], parts: list[str] | None = None) -> dict[str, Any]:
        """Mix a colour."""
        return {"name": name, "parts": parts}

    @tool("write", seat="user")
    def shake(self, code: str) -> str:
        """Shake a box."""
        return f"{code} rattles"

    @tool("write")
    def drop(self, code: str) -> str:
        """Drop a box."""
        self.db.boxes.update(code, open=True)
        return {"B2": "broken"}[code]

    def not_a_tool(self) -> None: ...


TOOLS = collect_tools(Desk)


@pytest.fixture
def session() -> Session:
    return ToolkitSession("s-0", Store({"boxes": {"B1": Box(code="B1")}}), Desk, TOOLS)


def call(session: Session, name: str, seat: Any = "agent", /, **arguments: Any):
    return session.call(seat, ToolCall(id="c", name=name, arguments=arguments))


def test_tools_in_order_of_definition():
    assert list(TOOLS) == ["list_boxes", "open_box", "colour", "shake", "drop"]
    assert [tool.seat for tool in TOOLS.values()] == ["agent", "agent", "agent", "user", "agent"]


def test_schema_from_signature_and_docstring():
    assert TOOLS["open_box"].schema() == {
        "type": "function",
        "function": {
            "name": "open_box",
            "description": "Open a box for some days.",
            "parameters": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "code": {"type": "string", "description": "the code on the box"},
                    "force": {"type": "boolean", "default": False, "description": "even when it sticks"},
                    "days": {"type": "integer", "default": 1},
                },
                "required": ["code"],
            },
        },
    }
    assert TOOLS["list_boxes"].parameters["properties"] == {}
    assert TOOLS["colour"].parameters["properties"]["name"]["enum"] == ["red", "blue"]
    assert TOOLS["open_box"].sources["code"].label == "box code"


def test_read_answers_in_json(session: Session):
    result = call(session, "list_boxes")
    assert json.loads(result.content) == [{"code": "B1", "open": False}]
    assert not result.error and not result.changes


def test_tool_that_breaks_is_named_with_its_line(session: Session):
    with pytest.raises(
        InputError, match=r"test_tool\.py:\d+: tool drop, called with {'code': 'B1'}, raised KeyError: 'B1'"
    ):
        call(session, "drop", code="B1")
    assert session.changes() == ()


def test_tool_whose_result_is_no_json_is_named(session: Session):
    class Odd(Desk):
        @tool("read")
        def list_codes(self) -> Any:
            """List the codes."""
            return {"codes": {"B1"}}

    odd = ToolkitSession("s-0", Store({"boxes": {}}), Odd, collect_tools(Odd))
    with pytest.raises(InputError, match="tool list_codes returned what is no JSON.*set.*return strings"):
        call(odd, "list_codes")


def test_write_reports_what_it_changed(session: Session):
    result = call(session, "open_box", code="B1")
    [change] = result.changes
    assert (change.table, change.key) == ("boxes", "B1")
    assert (change.before, change.after) == ({"code": "B1", "open": False}, {"code": "B1", "open": True})
    assert session.changes() == result.changes
    assert call(session, "open_box", code="B1").changes == ()


def test_refused_write_leaves_nothing_behind(session: Session):
    before = session.digest()
    result = call(session, "open_box", code="B1", days=9)
    assert (result.error, result.content) == (True, "Error: too long")
    assert session.changes() == () and session.digest() == before
    assert json.loads(call(session, "list_boxes").content)[0]["open"] is False


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("open_box", {"code": "B9"}, "no box 'B9'"),
        ("open_box", {}, "code: Field required"),
        ("open_box", {"code": "B1", "colour": "red"}, "colour: Extra inputs"),
        ("open_box", {"code": 1}, "code: Input should be a valid string"),
        ("open_box", {"code": "B1", "days": "2"}, "days: Input should be a valid integer"),
        ("open_box", {"code": "B1", "days": True}, "days: Input should be a valid integer"),
        ("colour", {"name": "green"}, "Input should be 'red' or 'blue'"),
        ("nothing", {}, "unknown tool 'nothing'"),
        ("shake", {"code": "B1"}, "belongs to the user, not to the agent"),
    ],
)
def test_bad_calls_are_refused_in_words(session: Session, name: str, arguments: dict[str, Any], problem: str):
    result = call(session, name, **arguments)
    assert result.error and problem in result.content
    assert session.changes() == ()


def test_each_seat_has_its_own_tools(session: Session):
    assert call(session, "shake", "user", code="B1").content == "B1 rattles"
    assert call(session, "open_box", "user", code="B1").error
    assert find_tool(TOOLS, "user", "shake") is TOOLS["shake"]


def test_fork_of_a_session(session: Session):
    fork = session.fork()
    call(fork, "open_box", code="B1")
    assert session.changes() == () and len(fork.changes()) == 1
    assert session.digest() != fork.digest()
    call(session, "open_box", code="B1")
    assert session.digest() == fork.digest()


def test_tool_without_a_hint_is_named():
    class Bad:
        @tool("read")
        def look(self, code, days: int) -> str:  # pyright: ignore[reportMissingParameterType]
            """Look."""
            return ""

    with pytest.raises(InputError, match=r"Bad\.look.*test_tool\.py.*no type hint for 'code'; add one"):
        collect_tools(Bad)


def test_tool_without_a_docstring_is_named():
    class Bad:
        @tool("read")
        def look(self) -> str:
            return ""

    with pytest.raises(InputError, match=r"Bad\.look.*has no docstring"):
        collect_tools(Bad)


def test_tools_are_inherited_and_replaced():
    class Better(Desk):
        @tool("read")
        def list_boxes(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
            """List no boxes."""
            return "none"

    tools = collect_tools(Better)
    assert set(tools) == set(TOOLS)
    assert tools["list_boxes"].description == "List no boxes."


def test_results_as_text():
    assert dump_result("plain") == "plain"
    assert dump_result([Box(code="é")]) == '[{"code": "é", "open": false}]'
    assert dump_result({"a": (1, None)}) == '{"a": [1, null]}'
    assert parse_content('{"a": 1}') == {"a": 1}
    assert parse_content("plain") == "plain"


def test_a_kind_that_is_none_is_refused_where_it_stands():
    with pytest.raises(InputError, match="'wirte' is no kind of tool; it is one of read, write, generic"):
        tool("wirte")  # pyright: ignore[reportArgumentType]
