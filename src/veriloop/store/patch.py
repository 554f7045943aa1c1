"""What turns one JSON value into another, as JSON: `[value]` replaces, an object goes down by key or by place."""

from typing import Any

from veriloop.core.base import canonical_json


def make_patch(old: Any, new: Any) -> Any:
    """Return the patch that makes `new` of `old`; `{}` when they are equal. 1, 1.0 and True all differ."""
    if _fits(old, new, dict) and old.keys() <= new.keys():
        pairs = {key: (old[key], value) if key in old else None for key, value in new.items()}
        found = {key: make_patch(*pair) if pair else [new[key]] for key, pair in pairs.items()}
        return {key: patch for key, patch in found.items() if patch != {}}
    if _fits(old, new, list) and len(old) == len(new):
        found = {str(place): make_patch(*pair) for place, pair in enumerate(zip(old, new, strict=True))}
        return {place: patch for place, patch in found.items() if patch != {}}
    return {} if canonical_json(old) == canonical_json(new) else [new]


def apply_patch(old: Any, patch: Any) -> Any:
    """Return what a patch makes of `old`; raises ValueError when it was made for something else."""
    try:
        return _apply(old, patch)
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"the patch does not fit: {error!r}") from error


def _apply(old: Any, patch: Any) -> Any:
    if isinstance(patch, list):
        [value] = patch
        return value
    if isinstance(old, list):
        changed = {int(place): inner for place, inner in patch.items()}
        if not changed.keys() <= set(range(len(old))):
            raise ValueError("the patch names a place that the list does not have")
        return [_apply(item, changed[place]) if place in changed else item for place, item in enumerate(old)]
    if not patch:
        return old
    return {**old, **{key: _apply(old.get(key), inner) for key, inner in patch.items()}}


def _fits(old: Any, new: Any, kind: type) -> bool:
    return isinstance(old, kind) and isinstance(new, kind)
