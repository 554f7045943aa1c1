"""The allowed subset of Python: what a checker needs, and nothing that reaches outside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.check.allow import CheckerError, validate_checker

GOOD = """
LIMIT = {"a": 1}


def helper(value):
    return sorted([item for item in value if item is not None])


def check(changes, calls, messages):
    total = 0
    for number, change in enumerate(changes):
        total += number if change["table"] == "x" else 0
    if any([message["content"].lower().startswith("y") for message in messages]) and not calls:
        return {"passed": False, "reason": f"{total:d} of {len(helper(calls))}"}
    return {"passed": total == LIMIT.get("a"), "reason": ""}
"""


def test_a_plain_checker_is_allowed():
    validate_checker(GOOD)


def test_every_synthesised_checker_is_allowed(tasks):
    for task in tasks:
        validate_checker(task.checker)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("import os", "Import"),
        ("from os import path", "ImportFrom"),
        ("open('/etc/passwd')", "open"),
        ("eval('1')", "eval"),
        ("exec('1')", "exec"),
        ("getattr(changes, 'x')", "getattr"),
        ("globals()", "globals"),
        ("__import__('os')", "__import__"),
        ("changes.__class__", "__class__"),
        ("(1).__class__.__mro__", "__mro__"),
        ("''.format_map({})", "format_map"),
        ("x = lambda: 1", "Lambda"),
        ("while True: pass", "While"),
        ("class A: pass", "ClassDef"),
        ("with changes: pass", "With"),
        ("try:\n        pass\n    except ValueError:\n        pass", "Try"),
        ("raise ValueError", "Raise"),
        ("global LIMIT", "Global"),
        ("del changes", "Delete"),
        ("yield 1", "Yield"),
        ("undefined_name", "undefined_name"),
        ("(y := 1)", "NamedExpr"),
        ("print('x')", "print"),
        ("'{0.__globals__}'.format(check)", "format"),
        ("x = f'{check.__globals__}'", "__globals__"),
        ("for item in []: yield item", "Yield"),
        ("match changes:\n        case []: pass", "Match"),
        ("assert changes", "Assert"),
        ("x: int = (yield)", "Yield"),
    ],
)
def test_what_reaches_outside_is_refused_with_its_line(line, problem):
    source = f"def check(changes, calls, messages):\n    {line}\n    return {{}}\n"
    with pytest.raises(CheckerError, match=r"line \d") as caught:
        validate_checker(source)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    "define",
    [
        "def f({name}):\n    return 0\n",
        "def f(*{name}):\n    return 0\n",
        "def f(*, {name}=1):\n    return 0\n",
        "def {name}(a):\n    return 0\n",
        "def f(a):\n    {name} = 1\n    return {name}\n",
        "X = [{name} for {name} in [1]]\n",
        "for {name} in []:\n    pass\n",
        "A, *{name} = [1, 2]\n",
    ],
)
@pytest.mark.parametrize("name", ["open", "exec", "eval", "__import__", "__builtins__", "__file__", "print"])
def test_no_builtin_slips_in_as_a_name_defined_elsewhere(define, name):
    source = define.format(name=name) + "def check(changes, calls, messages):\n    return {}\n"
    with pytest.raises(CheckerError, match=f"name '{name}' may not be defined"):
        validate_checker(source)


def test_allowed_builtins_may_be_named_anew():
    validate_checker(
        "def check(changes, calls, messages):\n    list = [1]\n    return {'passed': True, 'reason': list}\n"
    )


@pytest.mark.parametrize(
    "source",
    ["x = '\ud800'", "x\0", "(" * 5000, "-" * 100_000 + "1", "x" + ".get" * 50_000, "x = " + "+".join(["1"] * 20_000)],
    ids=["surrogate", "null", "parentheses", "signs", "attributes", "sum"],
)
def test_text_that_breaks_the_parser_is_refused_like_any_other(source):
    with pytest.raises(CheckerError, match="line 1"):
        validate_checker(source)


def test_decorators_are_refused():
    with pytest.raises(CheckerError, match="decorators"):
        validate_checker("def d(f):\n    return f\n\n@d\ndef check(changes, calls, messages):\n    return {}\n")


def test_async_functions_are_refused():
    with pytest.raises(CheckerError, match="AsyncFunctionDef"):
        validate_checker("async def check(changes, calls, messages):\n    return {}\n")


@pytest.mark.parametrize(
    "source",
    ["", "x = 1", "def check(a, b, c):\n    return {}\n", "def check(changes, calls):\n    return {}\n"],
)
def test_a_checker_needs_its_function(source):
    with pytest.raises(CheckerError, match="no check"):
        validate_checker(source)


def test_a_syntax_error_names_its_line():
    with pytest.raises(CheckerError, match="line 2"):
        validate_checker("x = 1\ndef (")


@given(st.text(st.characters(), max_size=200))
def test_any_text_is_refused_or_allowed_and_nothing_else(text):
    try:
        validate_checker(text)
    except CheckerError:
        return
    assert "def check" in text


@given(st.sampled_from(GOOD.splitlines()), st.text(alphabet="abc()[]{}:=._ \n\t\"'0", max_size=12), st.integers(0, 30))
def test_damaged_checkers_never_break_the_validation(line, noise, place):
    damaged = GOOD.replace(line, line[:place] + noise + line[place:], 1)
    try:
        validate_checker(damaged)
    except CheckerError:
        return
