"""Which checkers could remember: a value of the module, a default or what they were given is changed, or used up."""

import contextlib
import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veriloop.check.allow import validate_checker


def make(line="pass", head=""):
    return f"{head}def check(changes, calls, messages):\n    {line}\n    return {{'passed': True, 'reason': ''}}\n"


def test_every_synthesised_checker_can_keep_nothing(tasks):
    assert all(validate_checker(task.checker) for task in tasks)


@pytest.mark.parametrize(
    ("line", "head"),
    [
        ("kept = [1]", ""),
        ("first, *others = [change['key'] for change in changes]", "WANTED = [{'a': (1, 2)}, {3}]\n"),
        ("kept = sorted(calls, key=rank)", "def rank(call, by='name'):\n    return call[by]\n\n\n"),
        ("kept = zip(calls, messages)", "WANTED: list = [part for part in [1, 2]]\n"),
        ("kept = changes[0]['after'].get('a')", ""),
        ("kept = []\n    kept.append(changes)\n    kept += calls\n    kept[0] = 1", ""),
        ("kept, word, n = {}, 'a', 0\n    kept['a'] = n\n    word += 'b'\n    n -= 1", ""),
        ("kept: list = [1]\n    for part in calls:\n        kept.extend(part)", ""),
        ("kept = WANTED[:]\n    kept.append(1)", "WANTED = [1]\n"),
        ("kept = [] if calls else [1]\n    kept.append(1)", ""),
        ("kept, more = dict(), list(WANTED)\n    kept['a'] = 1\n    more.append(2)", "WANTED = [1]\n"),
        ("n = len(calls)\n    n += 1 if n else 2.5", ""),
        ("n = WANTED + [1]\n    n.append(1)", "WANTED = [1]\n"),
        ("[kept.append(1) for call in calls]\n    kept = []", ""),
    ],
)
def test_who_only_names_and_reads_can_keep_nothing(line, head):
    assert validate_checker(make(line, head)) is True


@pytest.mark.parametrize(
    ("line", "head"),
    [
        ("SEEN.append(1)", "SEEN = []\n"),
        ("keep = SEEN.extend", "SEEN = []\n"),
        ("SEEN.add(1)", "SEEN = {0}\n"),
        ("SEEN['n'] = 1", "SEEN = {}\n"),
        ("SEEN['n']: int = 1", "SEEN = {}\n"),
        ("SEEN[0], x = [1, 2]", "SEEN = [0]\n"),
        ("changes[0]['after']['a'] = 1", ""),
        ("for SEEN[0] in calls: pass", "SEEN = [0]\n"),
        ("x = [1 for SEEN[0] in calls]", "SEEN = [0]\n"),
        ("check.count = 1", ""),
        ("kept = SEEN\n    kept += [1]", "SEEN = []\n"),
        ("kept = [SEEN]\n    kept[0].append(1)", "SEEN = []\n"),
        ("kept = [SEEN]\n    kept[0] += [1]", "SEEN = []\n"),
        ("kept = [SEEN]\n    kept[0]['n'] = 1", "SEEN = {}\n"),
        ("kept = []\n    kept = SEEN\n    kept.append(1)", "SEEN = []\n"),
        ("kept = [] or SEEN\n    kept.append(1)", "SEEN = []\n"),
        ("kept = SEEN if calls else []\n    kept.append(1)", "SEEN = []\n"),
        ("kept, more = SEEN, []\n    kept.append(1)", "SEEN = []\n"),
        ("kept, *more = SEEN, []\n    kept.append(1)", "SEEN = []\n"),
        ("kept, more = *SEEN, []\n    kept.append(1)", "SEEN = [[]]\n"),
        ("[kept, more] = [SEEN, []]\n    kept.append(1)", "SEEN = []\n"),
        ("kept = []\n    for kept in SEEN:\n        kept.append(1)", "SEEN = [[]]\n"),
        ("kept = []\n    x = [kept.append(1) for kept in SEEN]", "SEEN = [[]]\n"),
        ("changes += [1]", ""),
        ("changes = []\n    changes.append(1)", ""),
        ("kept = []\n    def f(x=SEEN.append(1)):\n        SEEN = []", "SEEN = []\n"),
        ("kept = []\n    def f():\n        kept.append(1)\n    f()", ""),
        ("kept = []\n    def kept():\n        return 1\n    kept.append(1)", ""),
        ("n = SEEN\n    n += calls if calls else 1", "SEEN = []\n"),
        ("n = SEEN\n    n += 'ab'", "SEEN = []\n"),
        ("kept += [1]", ""),
        ("kept = list(SEEN)\n    kept.append(1)", "SEEN = []\ndef list(x):\n    return x\n"),
        ("def f(dict):\n        kept = dict()\n        kept['n'] = 1", ""),
        ("sorted = f\n    kept = sorted(SEEN)\n    kept.append(1)", "SEEN = []\ndef f(x):\n    return x\n"),
        ("kept = f(SEEN)\n    kept.append(1)", "SEEN = []\ndef f(x):\n    return x\n"),
        ("kept = sum([], SEEN)\n    kept.append(1)", "SEEN = []\n"),
        ("pass", "TURNS = (turn for turn in [1])\n"),
        ("pass", "TURNS = [zip([1], [1])]\n"),
        ("pass", "def f(turns=enumerate([1])):\n    return turns\n\n\n"),
        ("pass", "def f(*, turns=(turn for turn in [1])):\n    return turns\n\n\n"),
        ("pass", "if True:\n    TURNS = reversed([1])\n"),
    ],
)
def test_who_could_change_a_value_could_keep_one(line, head):
    assert validate_checker(make(line, head)) is False


NAMES = st.sampled_from(["SEEN", "one", "two", "given", "changes"])
VALUES = st.one_of(
    NAMES,
    st.sampled_from(
        ["[]", "[1]", "[SEEN]", "SEEN[:]", "SEEN or []", "SEEN + [1]", "one[0]", "f(SEEN)", "{0: SEEN}", "list(SEEN)"]
    ),
)
LINES = st.one_of(
    st.tuples(NAMES, VALUES).map(" = ".join),
    st.tuples(NAMES, VALUES).map(" += ".join),
    st.tuples(NAMES, NAMES, VALUES, VALUES).map(lambda parts: "{}, {} = {}, {}".format(*parts)),
    st.tuples(NAMES, VALUES).map(lambda parts: "{}.append({})".format(*parts)),
    st.tuples(NAMES, VALUES).map(lambda parts: "{}[0] = {}".format(*parts)),
    st.tuples(NAMES, VALUES).map(lambda parts: "{}[0] += {}".format(*parts)),
    st.tuples(NAMES, NAMES).map(lambda parts: "for {} in {}[:3]: pass".format(*parts)),
)


@settings(max_examples=600)
@given(st.lists(LINES, min_size=1, max_size=5))
def test_who_is_said_to_keep_nothing_keeps_nothing(lines):
    """Any few lines about a value of the module, of a default, of the inputs and of the function's own."""
    source = "SEEN = [[1], 2]\n\n\ndef f(given=[[3], 4]):\n    return given\n\n\n"
    source += "def work(changes, given=[[5], 6]):\n    one = [[7], 8]\n    two = [9]\n"
    source += "".join(f"    {line}\n" for line in lines) + "    return [SEEN, given]\n\n\n"
    source += "def check(changes, calls, messages):\n    return work(changes)\n"
    if not validate_checker(source):
        return
    space = {}
    exec(source, space)
    changes = [[1], [2]]
    before = copy.deepcopy((space["SEEN"], space["work"].__defaults__, space["f"].__defaults__, changes))
    with contextlib.suppress(TypeError, IndexError, UnboundLocalError, KeyError, RecursionError):
        space["check"](changes, [], [])
    assert (space["SEEN"], space["work"].__defaults__, space["f"].__defaults__, changes) == before
