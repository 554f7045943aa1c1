"""Deep copies of the package's rows: what `copy.deepcopy` makes of them, at a tenth of its price.

A draft copies every row that a tool looks at, so copying is most of what a call costs.
"""

import copy
from collections.abc import Callable
from datetime import date, datetime
from enum import Enum
from typing import Any, TypeVar

from pydantic import BaseModel

T = TypeVar("T")
Memo = dict[int, Any]
_UNCHANGEABLE = frozenset({str, int, float, bool, type(None), date, datetime})
_set_slot = object.__setattr__


def copy_deeply(value: T, memo: Memo | None = None) -> T:
    """Return a copy that shares nothing changeable with `value`; what `value` holds twice, the copy holds twice too.

    memo: the copies made so far by the id of what they are of, as in `copy.deepcopy`; for values copied together.
    """
    copier = _COPIERS[type(value)]
    return value if copier is None else copier(value, {} if memo is None else memo)


def _copy_model(model: BaseModel, memo: Memo) -> BaseModel:
    if id(model) in memo:
        return memo[id(model)]
    if model.__pydantic_extra__ is not None or getattr(model, "__pydantic_private__", None) is not None:
        return copy.deepcopy(model, memo)
    twin = object.__new__(type(model))
    fields = {
        name: value if (copier := _COPIERS[type(value)]) is None else copier(value, memo)
        for name, value in model.__dict__.items()
    }
    _set_slot(twin, "__dict__", fields)
    _set_slot(twin, "__pydantic_fields_set__", model.__pydantic_fields_set__.copy())
    _set_slot(twin, "__pydantic_extra__", None)
    _set_slot(twin, "__pydantic_private__", None)
    memo[id(model)] = twin
    return twin


def _copy_dict(value: dict[Any, Any], memo: Memo) -> dict[Any, Any]:
    if id(value) not in memo:
        memo[id(value)] = {copy_deeply(key, memo): copy_deeply(item, memo) for key, item in value.items()}
    return memo[id(value)]


def _copy_list(value: list[Any], memo: Memo) -> list[Any]:
    if id(value) not in memo:
        memo[id(value)] = [copy_deeply(item, memo) for item in value]
    return memo[id(value)]


class _Copiers(dict[type, Callable[[Any, Memo], Any] | None]):
    """What copies the values of a type; None where no value of it can be changed."""

    def __missing__(self, kind: type) -> Callable[[Any, Memo], Any] | None:
        if kind in _UNCHANGEABLE or issubclass(kind, Enum):
            found = None
        elif issubclass(kind, BaseModel) and kind.__deepcopy__ is BaseModel.__deepcopy__:
            found = _copy_model
        else:
            found = {dict: _copy_dict, list: _copy_list}.get(kind, copy.deepcopy)
        self[kind] = found
        return found


_COPIERS = _Copiers()
