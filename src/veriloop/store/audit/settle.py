"""Messages of a dialogue brought into order: one seat's calls, each with an id of its own and its result behind it."""

from collections.abc import Iterator

from veriloop.store.audit.call import find_disorder
from veriloop.store.chat import Row

Placed = tuple[int, Row]
"""A message with its place in the dialogue as it stood."""


def settle_messages(messages: list[Row]) -> list[Row]:
    """Return messages without the other seat's calls, each with an id of its own and its result right behind it."""
    return [message for _, message in _order(_number(list(_leave_out(messages))))]


def settle_places(messages: list[Row]) -> list[Placed]:
    """Return messages likewise, as far as something is wrong with them, and where each stood."""
    placed = list(_leave_out(messages))
    disorder = any(True for _ in find_disorder([message for _, message in placed]))
    if disorder or any(_repeats(_ids(message)) for _, message in placed):
        placed = _number(placed)
    return list(_order(placed)) if disorder else placed


def _ids(message: Row) -> list[str]:
    return [call["id"] for call in message.get("tool_calls", ())]


def _repeats(ids: list[str]) -> bool:
    return len(set(ids)) < len(ids)


def _leave_out(messages: list[Row]) -> Iterator[Placed]:
    """Yield messages without calls by whoever is not the assistant, their results, and what is left empty by that."""
    gone = set[str]()
    for place, message in enumerate(messages):
        calls = message.get("tool_calls")
        if message["role"] == "tool":
            if message.get("tool_call_id") not in gone:
                yield place, message
        elif not calls or message["role"] == "assistant":
            gone -= set(_ids(message))
            yield place, message
        else:
            gone |= set(_ids(message))
            if message["content"]:
                yield place, {key: value for key, value in message.items() if key != "tool_calls"}


def _number(placed: list[Placed]) -> list[Placed]:
    """Return messages whose calls have ids of their own; of calls that share one the first gets the first result."""
    ids = [given for _, message in placed for given in _ids(message)]
    if not _repeats(ids):
        return placed
    fresh: dict[str, list[str]] = {}
    for count, given in enumerate(ids):
        fresh.setdefault(given, []).append(f"call_{count}")
    numbers = (f"call_{count}" for count in range(len(ids)))
    found: list[Placed] = []
    for place, message in placed:
        if calls := message.get("tool_calls"):
            message = {**message, "tool_calls": [{**call, "id": next(numbers)} for call in calls]}
        if waiting := fresh.get(message.get("tool_call_id", "")):
            message = {**message, "tool_call_id": waiting.pop(0)}
        found.append((place, message))
    return found


def _order(placed: list[Placed]) -> Iterator[Placed]:
    """Yield messages with every result right behind the message that calls for it; results of no call stay."""
    results: dict[str, Placed] = {}
    called = {given for _, message in placed for given in _ids(message)}
    for place, message in placed:
        given = message.get("tool_call_id")
        if given in called:
            results.setdefault(str(given), (place, message))
    for place, message in placed:
        if message.get("tool_call_id") in called:
            continue
        yield place, message
        yield from (results[given] for given in _ids(message) if given in results)
