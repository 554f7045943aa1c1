"""From a name to a domain: built in, a Python file of the user's, or an entry point of another package."""

import difflib
import importlib.util
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from veriloop.core.base import Frozen, content_hash
from veriloop.core.errors import InputError, VeriloopError
from veriloop.core.extra import needs_extra
from veriloop.domains.domain import Domain
from veriloop.domains.foreign import blame_code
from veriloop.domains.parcel import load_parcel

ENTRY_POINTS = "veriloop.domains"
_MEMBERS = ("name", "policy", "tools", "clauses", "kinds", "database", "callers", "open")


class DomainInfo(Frozen):
    """A domain that can be named, without loading it. needs: the extra to install first, when it is not there."""

    name: str
    about: str
    origin: str
    needs: str | None = None


def load_retail_extra() -> Domain:
    """Return tau2's retail domain; raises InputError without the `tau2` extra."""
    with needs_extra("tau2"):
        from veriloop.domains.tau2.retail import load_retail
    return load_retail()


def load_airline_extra() -> Domain:
    """Return tau2's airline domain; raises InputError without the `tau2` extra."""
    with needs_extra("tau2"):
        from veriloop.domains.tau2.airline import load_airline
    return load_airline()


def load_telecom_extra() -> Domain:
    """Return tau2's telecom domain; raises InputError without the `tau2` extra."""
    with needs_extra("tau2"):
        from veriloop.domains.tau2.telecom import load_telecom
    return load_telecom()


BUILT_IN: dict[str, Callable[[], Domain]] = {
    "parcel": load_parcel,
    "tau2/airline": load_airline_extra,
    "tau2/retail": load_retail_extra,
    "tau2/telecom": load_telecom_extra,
}
_ABOUT = {
    "parcel": "a parcel-delivery help desk with databases made from seeds; both seats have tools",
    "tau2/airline": "the airline domain of tau2-bench: its real tools, policy and database",
    "tau2/retail": "the retail domain of tau2-bench: its real tools, policy and database",
    "tau2/telecom": "the telecom domain of tau2-bench: its real tools and policy, databases made from seeds",
}
_EXTRAS = {name: ("tau2", "tau2") for name in BUILT_IN if name.startswith("tau2/")}
"""Domain -> (package it needs, extra that brings it)."""


def load_domain(name: str) -> Domain:
    """Return the domain of a name or of a path to a Python file; raises InputError saying what is wrong where.

    A file defines `domain`, or `load()` which returns it.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]()
    if name.endswith(".py"):
        return _load_file(Path(name))
    for point in entry_points(group=ENTRY_POINTS):
        if point.name == name:
            return _load_entry_point(point)
    known = [info.name for info in list_domains()]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}, or give a path to a .py file"
    raise InputError(f"there is no domain {name!r}; {hint}")


def full_name(name: str) -> str:
    """Return a name that means the same domain from any directory: files by their absolute path."""
    return str(Path(name).resolve()) if name.endswith(".py") else name


def list_domains() -> list[DomainInfo]:
    """Return the built-in domains and those of other packages' entry points, by name."""
    built_in = [DomainInfo(name=name, about=_ABOUT[name], origin="built in", needs=_missing(name)) for name in BUILT_IN]
    others = [
        DomainInfo(name=point.name, about=point.value, origin=point.dist.name if point.dist else "entry point")
        for point in entry_points(group=ENTRY_POINTS)
    ]
    return sorted([*built_in, *others], key=lambda info: info.name)


def _missing(name: str) -> str | None:
    package, extra = _EXTRAS.get(name, (None, None))
    return extra if package and importlib.util.find_spec(package) is None else None


def _load_file(path: Path) -> Domain:
    if not path.is_file():
        raise InputError(f"there is no domain file {str(path)!r}; check the path")
    module = _execute(path)
    found = getattr(module, "domain", None)
    if found is None:
        load = getattr(module, "load", None)
        if not callable(load):
            raise InputError(f"{str(path)!r} defines no domain; assign one to `domain` or define `load()`")
        found = _call(load, str(path))
    return _check_members(found, str(path))


def _execute(path: Path) -> ModuleType:
    """Run a domain file as a module that type hints and pickles can find again."""
    name = f"veriloop_domain_{path.stem}_{content_hash(str(path.resolve()), 8)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{str(path)!r} cannot be loaded as a Python module; rename it to NAME.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _call(lambda: spec.loader.exec_module(module), str(path))  # pyright: ignore[reportOptionalMemberAccess]
    return module


def _load_entry_point(point: EntryPoint) -> Domain:
    where = f"entry point {point.name!r} ({point.value})"
    load = _call(point.load, where)
    found = _call(load, where) if callable(load) else load
    return _check_members(found, where)


def _call(work: Callable[[], Any], where: str) -> Any:
    """Run somebody else's code; whatever it raises is about their file, so the message leads there."""
    try:
        return work()
    except VeriloopError:
        raise
    except SyntaxError as error:
        raise InputError(f"{error.filename or where}:{error.lineno}: {error.msg}; correct the syntax") from error
    except Exception as error:  # the boundary to a domain's own code
        raise blame_code(error, file=where) from error


def _check_members(found: Any, where: str) -> Domain:
    missing = [member for member in _MEMBERS if not hasattr(found, member)]
    if missing:
        raise InputError(f"the domain of {where} lacks {', '.join(missing)}; make it with ToolkitDomain or add them")
    return found
