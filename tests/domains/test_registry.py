import textwrap
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from veriloop.core.errors import InputError
from veriloop.domains import registry
from veriloop.domains.registry import full_name, list_domains, load_domain
from veriloop.domains.task import Initial

FILE = textwrap.dedent(
    '''
    """A light switch."""
    from typing import Annotated
    from veriloop.domains.database import Database, Row, Table
    from veriloop.domains.domain import Caller, ToolkitDomain
    from veriloop.domains.source import choice, ref
    from veriloop.domains.tool import tool

    class Lamp(Row):
        name: str
        lit: bool

    class House(Database):
        lamps: Table[Lamp]

    class Switches:
        def __init__(self, db: House) -> None:
            self.db = db

        @tool("write", topics=("turn on a lamp",))
        def turn_on(self, name: Annotated[str, ref("lamp")]) -> Lamp:
            """Turn a lamp on."""
            return self.db.lamps.update(name, lit=True)

    def load():
        lamps = {"hall": Lamp(name="hall", lit=False)}
        return ToolkitDomain("house", "1. Be nice.", Switches, House, lambda database: {"lamps": lamps},
                             lambda db: [Caller("c", "Ada", {"lamp": "hall"})], ())
    '''
)


def write(tmp_path: Path, text: str, name: str = "house.py") -> str:
    file = tmp_path / name
    file.write_text(textwrap.dedent(text))
    return str(file)


def test_built_in():
    assert load_domain("parcel").name == "parcel"
    assert {"parcel", "tau2/retail"} <= {info.name for info in list_domains()}


def test_file_with_load(tmp_path: Path):
    domain = load_domain(write(tmp_path, FILE))
    assert domain.name == "house"
    assert set(domain.tools) == {"turn_on"}
    assert domain.open(Initial(database="train-0")).changes() == ()


def test_file_with_domain(tmp_path: Path):
    assert load_domain(write(tmp_path, FILE + "\ndomain = load()\ndel load")).name == "house"


def test_two_files_of_one_name_are_two_domains(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = write(tmp_path / "a", FILE)
    two = write(tmp_path / "b", FILE.replace('"house"', '"barn"'))
    assert [load_domain(name).name for name in (one, two, one)] == ["house", "barn", "house"]


def test_names_of_files_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert full_name("house.py") == str(tmp_path / "house.py")
    assert full_name("parcel") == "parcel"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("parcle", "did you mean 'parcel'"),
        ("tau2/retial", "did you mean 'tau2/retail'"),
        ("zzz", "known are parcel"),
        ("missing.py", "no domain file 'missing.py'"),
    ],
)
def test_unknown_names(name: str, problem: str):
    with pytest.raises(InputError, match=problem):
        load_domain(name)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = 1\ndef f(:\n", r"house\.py:2: .*correct the syntax"),
        ("x = 1\nraise ValueError('no luck')", r"house\.py:2: ValueError: no luck"),
        ("import no_such_package", r"house\.py:1: ModuleNotFoundError: .*no_such_package"),
        ("x = 1", r"defines no domain; assign one to `domain` or define `load\(\)`"),
        ("domain = 3", r"lacks name, policy, tools"),
        ("def load():\n    x = 1\n    return x / 0", r"house\.py:3: ZeroDivisionError"),
    ],
)
def test_broken_files_are_named_with_their_line(tmp_path: Path, text: str, problem: str):
    with pytest.raises(InputError, match=problem):
        load_domain(write(tmp_path, text))


def test_tool_without_type_hints(tmp_path: Path):
    text = FILE.replace('name: Annotated[str, ref("lamp")]', "name")
    with pytest.raises(InputError, match=r"'Switches\.turn_on' in .*house\.py.* no type hint for 'name'; add one"):
        load_domain(write(tmp_path, text))


def entry(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    point = EntryPoint(name="theirs", value=value, group=registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == registry.ENTRY_POINTS else [])


def test_entry_point_of_another_package(monkeypatch: pytest.MonkeyPatch):
    entry(monkeypatch, "veriloop.domains.parcel:load_parcel")
    assert load_domain("theirs").name == "parcel"
    assert "theirs" in {info.name for info in list_domains()}


def test_broken_entry_point_is_not_swallowed(monkeypatch: pytest.MonkeyPatch):
    entry(monkeypatch, "no_such_package.domains:load")
    with pytest.raises(InputError, match=r"entry point 'theirs' \(no_such_package.*ModuleNotFoundError"):
        load_domain("theirs")
    assert "theirs" in {info.name for info in list_domains()}


def test_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch):
    def load():
        with registry.needs_extra("tau2"):
            raise ModuleNotFoundError("No module named 'tau2'", name="tau2")

    monkeypatch.setitem(registry.BUILT_IN, "tau2/retail", load)
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'veriloop\[tau2\]'"):
        load_domain("tau2/retail")
    needs = {info.name: info.needs for info in list_domains()}
    assert needs["tau2/retail"] == "tau2" and needs["parcel"] is None
