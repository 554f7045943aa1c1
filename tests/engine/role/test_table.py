"""The table of roles: who is played by which model."""

import pytest

from veriloop.core.errors import InputError
from veriloop.engine.role.model import ROLES, RoleModel
from veriloop.engine.role.table import read_roles


def read(tmp_path, text):
    file = tmp_path / "roles.toml"
    file.write_text(text)
    return read_roles(file)


def test_sections_take_from_the_default_what_they_leave_out(tmp_path):
    roles = read(
        tmp_path,
        '[default]\nmodel = "large"\nbase_url = "http://h/v1"\nprices = [1, 2.5]\n'
        '[user]\nmodel = "small"\noptions = {temperature = 0.7}\n[agent]\nscripted = true\n',
    )
    assert set(roles) == set(ROLES) - {"agent"}
    large = RoleModel(model="large", base_url="http://h/v1", prices=(1.0, 2.5))
    assert roles["planner"] == large
    assert roles["user"] == large.model_copy(update={"model": "small", "options": {"temperature": 0.7}})


def test_without_a_default_only_those_named_are_models(tmp_path):
    assert set(read(tmp_path, '[reflector]\nmodel = "m"\n')) == {"reflector"}
    assert read(tmp_path, "") == {}


@pytest.mark.parametrize("role", ["solver", "judge"])
def test_some_are_there_only_when_they_are_named(tmp_path, role):
    default = '[default]\nmodel = "m"\n'
    assert role not in read(tmp_path, default)
    assert read(tmp_path, default + f"[{role}]\nwidth = 2\n")[role] == RoleModel(model="m", width=2)
    assert role not in read(tmp_path, default + f"[{role}]\nscripted = true\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[jury]\nmodel = "m"', "there is no role 'jury'; roles are planner, synthesiser"),
        ('user = "m"', r"'user' is no section; write \[user\]"),
        ("[user]\nwidth = 3", r"\[user\]: model: Field required"),
        ('[user]\nmodel = "m"\nwidth = 0', r"\[user\]: width: "),
        ('[user]\nmodel = "m"\ntemperature = 1', r"\[user\]: temperature: Extra"),
        ("[user", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, text, said):
    with pytest.raises(InputError, match=said) as caught:
        read(tmp_path, text)
    assert "roles.toml" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_roles(tmp_path / "nowhere.toml")
