import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.core.metric import bootstrap_interval, cohen_kappa, pass_hat, pass_hat_interval

TRIALS = st.lists(st.lists(st.booleans(), min_size=1, max_size=6), min_size=1, max_size=6)


def brute_force(task: list[bool], k: int) -> float:
    draws = list(itertools.combinations(task, k))
    return sum(all(draw) for draw in draws) / len(draws)


@given(TRIALS, st.integers(1, 6))
def test_pass_hat_is_the_chance_that_k_drawn_trials_all_pass(trials: list[list[bool]], k: int):
    eligible = [task for task in trials if len(task) >= k]
    found = pass_hat(trials, k)
    if not eligible:
        assert found is None
    else:
        assert found == pytest.approx(sum(brute_force(task, k) for task in eligible) / len(eligible))


@given(TRIALS)
def test_pass_hat_falls_with_k(trials: list[list[bool]]):
    shortest = min(map(len, trials))
    values = [pass_hat(trials, k) for k in range(1, shortest + 1)]
    assert all(a is not None and b is not None and a >= b - 1e-12 for a, b in itertools.pairwise(values))


def test_pass_hat_of_a_known_case():
    trials = [[True, True, True, False], [False] * 4]
    assert pass_hat(trials, 1) == pytest.approx(0.375)
    assert pass_hat(trials, 2) == pytest.approx(3 / 6 / 2)
    assert pass_hat(trials, 4) == 0
    assert pass_hat([], 1) is None


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.integers(0, 5))
def test_interval_lies_within_the_data_and_repeats(values: list[float], seed: int):
    found = bootstrap_interval(values, seed=seed, draws=200)
    assert found is not None
    low, high = found
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    assert bootstrap_interval(values, seed=seed, draws=200) == found


def test_interval_covers_the_mean_about_as_often_as_it_says():
    rng = random.Random(1)
    hits = 0
    for trial in range(200):
        sample = [rng.random() < 0.4 for _ in range(60)]
        low, high = bootstrap_interval(list(map(float, sample)), seed=trial, draws=300) or (1.0, 0.0)
        hits += low <= 0.4 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_interval_width_is_that_of_the_normal_approximation():
    values = [float(number % 2) for number in range(400)]
    low, high = bootstrap_interval(values, draws=4000) or (0.0, 0.0)
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(400), rel=0.08)


def test_no_data_no_interval():
    assert bootstrap_interval([]) is None
    assert pass_hat_interval([[True]], 2) is None
    assert pass_hat_interval([[True], [True]], 1) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("counts", "kappa"),
    [
        ((20, 5, 10, 15), 0.4),  # 50 grants read by two, of whom they agree on 35
        ((7, 0, 0, 3), 1.0),
        ((0, 5, 5, 0), -1.0),
        ((4, 4, 4, 4), 0.0),
        ((0, 9, 0, 0), 0.0),
        ((9, 0, 0, 0), None),
        ((0, 0, 0, 0), None),
    ],
)
def test_kappa_is_what_agreement_is_worth_beyond_chance(counts, kappa):
    found = cohen_kappa(*counts)
    assert found == (None if kappa is None else pytest.approx(kappa))
