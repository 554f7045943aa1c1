"""Waiting and giving up, as pure functions."""

import random
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.llm.retry import Retry, find_delay, is_transient, read_retry_after


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32))
def test_delay_is_bounded_and_ends(attempts: int, attempt: int, seed: int) -> None:
    retry = Retry(attempts=attempts, base=0.5, longest=4)
    delay = find_delay(retry, attempt, None, random.Random(seed))
    if attempt >= attempts:
        assert delay is None
    else:
        assert delay is not None
        assert 0 <= delay <= min(4, 0.5 * 2 ** (attempt - 1))


@given(st.floats(0, 100), st.integers(0, 2**32))
def test_asked_wait_is_kept_or_given_up(asked: float, seed: int) -> None:
    delay = find_delay(Retry(longest=60), 1, asked, random.Random(seed))
    if asked > 60:
        assert delay is None
    else:
        assert delay is not None
        assert asked <= delay <= asked * 1.1


def test_delay_repeats_with_its_seed() -> None:
    first = [find_delay(Retry(), n, None, random.Random(5)) for n in range(1, 5)]
    assert first == [find_delay(Retry(), n, None, random.Random(5)) for n in range(1, 5)]
    assert first != [find_delay(Retry(), n, None, random.Random(6)) for n in range(1, 5)]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("3", 3.0), ("0.5", 0.5), ("-2", 0.0), ("soon", None), ("inf", None), ("nan", None)],
)
def test_retry_after_in_seconds(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value, 0.0) == seconds


def test_retry_after_as_date() -> None:
    now = 1_700_000_000.0
    assert read_retry_after(formatdate(now + 20, usegmt=True), now) == pytest.approx(20, abs=1)
    assert read_retry_after(formatdate(now - 20, usegmt=True), now) == 0.0


@given(st.text())
def test_retry_after_never_raises(value: str) -> None:
    seconds = read_retry_after(value, 0.0)
    assert seconds is None or seconds >= 0


def test_transient_statuses() -> None:
    codes = (400, 401, 402, 403, 404, 408, 409, 422, 425, 429, 500, 503, 529)
    assert [code for code in codes if is_transient(code)] == [408, 409, 425, 429, 500, 503, 529]
