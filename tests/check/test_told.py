"""What counts as told: values by their meaning, never a part of something else."""

import pytest

from veriloop.check.body.told import check_told, read_parts, says


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("It costs $1,234.50.", "1234.5"),
        ("That makes 1234.50 dollars in all", "$1,234.50"),
        ("You get €12.50 back", "EUR 12.50"),
        ("You get EUR12.5 back", "12.50"),
        ("You get 12.50 back", "EUR 12.50"),
        ("two bags are free", "2"),
        ("there are 5GB left", "5.0 GB"),
        ("it was 12kg", "12"),
        ("on May 15", "2024-05-15"),
        ("on the 15th of May, 2024.", "2024-05-15"),
        ("on 15 May 2024", "2024-05-15"),
        ("on Sept 3rd", "2024-09-03"),
        ("05/15/2024, as you asked", "2024-05-15"),
        ("at 2024-05-15T10:00:00", "2024-05-15"),
        ("May 15, 2024", "May 15"),
        ("order #w123-45!", "#W12345"),
        ("your order (#W12345) is on its way", "W12345"),
        ("(555) 123-4567", "555-123-4567"),
        ("write to A.B@post.example", "a.b@post.example"),
        ("**tuesday**/wednesday", "Tuesday"),
        ("it leaves at 10:30.", "10:30"),
        ("the total—$54.04—is refunded", "54.04"),
        ("basic-economy", "basic_economy"),
    ],
)
def test_the_same_value_however_it_is_put(text, value):
    assert says(text, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("It is in VP94121.", "12"),
        ("It costs $15.00", "5"),
        ("It costs $15.00", "15.50"),
        ("12.50 USD", "EUR 12.50"),
        ("on May 12", "12"),
        ("on 2024-05-12", "12"),
        ("on May 16", "2024-05-15"),
        ("on May 15, 2023", "2024-05-15"),
        ("lines 1, 2 and 3", "12"),
        ("W123456", "#W12345"),
        ("call 555 123 45678", "555-123-4567"),
        ("zip 01234", "1234"),
        ("it is 1,234.5", "234.5"),
        ("on wednesday", "day"),
        ("10:30", "30"),
        ("1234567", "1,234"),
        ("", "12"),
    ],
)
def test_not_by_luck(text, value):
    assert not says(text, value)


def test_a_text_is_read_in_parts():
    parts = read_parts("On May 15th you pay $1,200.50 for VP-12.")
    assert parts[1] == ("date", (0, 5, 15))
    assert ("money", "$") in parts
    assert ("number", "1200.5") in parts
    assert parts[-1] == ("word", "vp12")


def test_the_agent_has_to_say_it(monkeypatch):
    monkeypatch.setattr("veriloop.check.body.told.TOLD", ["12.50"])
    said = {"seat": "agent", "content": "You get 12.5 back.", "calls": 1}
    assert check_told([said]) is None
    assert check_told([{**said, "seat": "user"}]) == "the user was not told 12.50"
    assert check_told([]) == "the user was not told 12.50"
