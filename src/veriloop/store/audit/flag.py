"""What a row says of its own success, in as many words as it has."""

from collections.abc import Iterator
from typing import Any

from veriloop.store.audit.sample import Sample
from veriloop.store.chat import Row
from veriloop.store.fault import Fault, Note

_NAMES = ("correct", "is_correct", "reward", "success", "passed", "verdict", "solved")
_YES, _NO = (
    ("pass", "passed", "success", "true", "yes", "correct"),
    ("fail", "failed", "failure", "error", "false", "no"),
)


def check_flags(sample: Sample, note: Note) -> None:
    """Note a row whose flags do not all say the same."""
    flags = list(_read_flags(sample.about))
    if len({flag for _, flag in flags}) > 1:
        note(Fault.DISAGREEMENT, " and ".join(f"{name} says {'yes' if flag else 'no'}" for name, flag in flags))


def _read_flags(about: Row) -> Iterator[tuple[str, bool]]:
    for name in _NAMES:
        if (flag := _read_flag(about.get(name))) is not None:
            yield name, flag
    info = about.get("reward_info")
    if isinstance(info, dict):
        parts = info.get("reward_breakdown")
        if isinstance(info.get("reward"), int | float):
            yield "reward_info.reward", info["reward"] == 1
            if isinstance(parts, dict) and parts and all(isinstance(part, int | float) for part in parts.values()):
                yield "reward_info.reward_breakdown", all(part == 1 for part in parts.values())


def _read_flag(value: Any) -> bool | None:
    if isinstance(value, bool | int | float):
        return value == 1
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _YES else False if word in _NO else None
    return None
