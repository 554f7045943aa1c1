"""The table that says which model plays which role: a TOML file with a section for each, and one for all the others."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from veriloop.core.errors import InputError
from veriloop.engine.role.model import BY_NAME, ROLES, RoleModel, RoleModels

DEFAULT, SCRIPTED = "default", "scripted"


def read_roles(path: Path) -> RoleModels:
    """Return the roles that models play.

    Each section holds fields of `RoleModel` and takes from `[default]` what it leaves out; `scripted = true` keeps a
    role scripted. Without a default, roles that have no section are scripted; without a section there is no solver
    and no judge. Raises InputError naming what is wrong.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"the roles of {str(path)!r} cannot be read: {error}") from error
    if unknown := [name for name in table if name not in (*ROLES, *BY_NAME, DEFAULT)]:
        raise InputError(f"{str(path)!r}: there is no role {unknown[0]!r}; roles are {', '.join((*ROLES, *BY_NAME))}")
    if bare := [name for name, section in table.items() if not isinstance(section, dict)]:
        raise InputError(f"{str(path)!r}: {bare[0]!r} is no section; write [{bare[0]}] and what belongs to it below")
    default = table.get(DEFAULT)
    found: RoleModels = {}
    for role in (*ROLES, *BY_NAME):
        section: dict[str, Any] = table.get(role, {})
        if section.get(SCRIPTED) or (role not in table and (default is None or role in BY_NAME)):
            continue
        fields = {**(default or {}), **section}
        fields.pop(SCRIPTED, None)
        found[role] = _read_model(f"{str(path)!r}, [{role}]", fields)
    return found


def _read_model(where: str, fields: dict[str, Any]) -> RoleModel:
    try:
        return RoleModel.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
