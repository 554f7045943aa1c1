"""Digests of what tau2's own tasks are about, so that synthesis keeps off it without ever opening them.

`python -m veriloop.evaluate.official_held_out` writes the file anew, which a newer package needs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from veriloop.core.base import canonical_json
from veriloop.domains.defect import find_troubles
from veriloop.domains.domain import Domain
from veriloop.domains.held_out import digest, digest_shingles, digest_words, split_marks
from veriloop.domains.registry import load_domain
from veriloop.domains.tau2.held_out import FILE
from veriloop.domains.tau2.shared import SharedDomain
from veriloop.domains.tau2.telecom_world import PACKAGE, load_database
from veriloop.evaluate.official import OfficialTask, official_tasks
from veriloop.store.file import write_text

DOMAINS = ("tau2/airline", "tau2/retail", "tau2/telecom")
Rows = Mapping[str, Mapping[str, BaseModel]]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the package's database. marks: ids, addresses and numbers that are theirs alone."""

    name: str
    marks: frozenset[str]


def render_held_out() -> str:
    """Return the text of `held_out.json`: equal packages give equal bytes."""
    return canonical_json({name: digest_domain(load_domain(name)) for name in DOMAINS})


def write_held_out() -> None:
    """Write `held_out.json` into the package of the tau2 domains."""
    write_text(FILE, render_held_out())


def digest_domain(domain: Domain) -> dict[str, Any]:
    """Return the fields of `HeldOut` for all official tasks of a domain, whatever their split; lists are sorted."""
    tasks, troubles = official_tasks(domain, None), find_troubles(domain)
    marks = {mark for person in find_subjects(domain, tasks) for mark in person.marks}
    keys = {troubles.combine(task.task.initial.calls) for task in tasks} - {""} if troubles else set()
    return {
        "entities": sorted(map(digest, marks)),
        "combinations": sorted(map(digest, keys)),
        "instructions": sorted(map(sorted, {digest_shingles(task.task.user) for task in tasks})),
        "tickets": sorted(map(sorted, {digest_words(task.official.ticket) for task in tasks if task.official.ticket})),
    }


def find_subjects(domain: Domain, tasks: list[OfficialTask]) -> list[Person]:
    """Return the people whom any part of a task names, be it by an id of theirs or by their name."""
    texts = [canonical_json(task.official.model_dump(mode="json")) for task in tasks]
    words = {mark for text in texts for mark in split_marks(text)}
    whole = "\n".join(texts).lower()
    return [one for one in list_people(domain) if one.marks & words or one.name.lower() in whole]


def list_people(domain: Domain) -> Iterator[Person]:
    """Yield everybody of the package's database with what is theirs."""
    if isinstance(domain, SharedDomain):
        yield from _list_users(domain.tables())
    else:
        yield from _list_customers(load_database(PACKAGE)[0])


def _list_users(tables: Rows) -> Iterator[Person]:
    """Yield users with their e-mail address, means of payment, and orders or reservations."""
    rows: dict[str, Mapping[str, Any]] = dict(tables)
    own: dict[str, set[str]] = {key: {key, user.email, *user.payment_methods} for key, user in rows["users"].items()}
    for name in rows.keys() & {"orders", "reservations"}:
        for key, row in rows[name].items():
            own[row.user_id].add(key)
    for key, user in rows["users"].items():
        yield Person(f"{user.name.first_name} {user.name.last_name}", frozenset(own[key]))


def _list_customers(tables: Rows) -> Iterator[Person]:
    """Yield customers with their name, numbers, lines, devices and bills."""
    rows: dict[str, Mapping[str, Any]] = dict(tables)
    for key, customer in rows["customers"].items():
        lines = [rows["lines"][line] for line in customer.line_ids]
        marks = {key, customer.full_name, customer.email, customer.phone_number, *customer.line_ids, *customer.bill_ids}
        marks |= {mark for line in lines for mark in (line.phone_number, line.device_id) if mark}
        yield Person(customer.full_name, frozenset(marks))


if __name__ == "__main__":
    write_held_out()
