"""The evolution's figure: what was in force, what was proposed, and what no proposal saw."""

from veriloop.report.evolution import trace_fitness


def made(number, fitness, candidate=None, held_out=None, *, accepted=True):
    return {
        "round": number, "fitness": fitness, "fitness_candidate": candidate, "fitness_held_out": held_out,
        "accepted": accepted,
    }  # fmt: skip


def test_a_rollback_leaves_what_is_in_force():
    rounds = [made(0, 0.5, None, 0.45), made(1, 0.5, 0.6, 0.55), made(2, 0.6, 0.4, accepted=False)]
    assert trace_fitness(rounds) == {
        "in force": [(0, 0.5), (1, 0.6), (2, 0.6)],
        "proposed": [(1, 0.6), (2, 0.4)],
        "in force, on orders no proposal saw": [(0, 0.45), (1, 0.55), (2, 0.55)],
    }


def test_series_without_points_are_left_out():
    assert trace_fitness([made(0, 0.5)]) == {"in force": [(0, 0.5)]}
    assert trace_fitness([]) == {}
