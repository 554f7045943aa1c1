"""The subset of Python that a checker may use; everything else is refused before it is written or run."""

import ast
import builtins
from functools import lru_cache

from veriloop.check.memory import CHANGING, keeps_nothing
from veriloop.core.errors import VeriloopError

LONGEST_SOURCE = 100_000
"""Characters of a checker's source at most; those compiled have a few thousand."""
_NODES = (
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.For,
    ast.If, ast.Expr, ast.Continue, ast.Break, ast.Pass, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call,
    ast.IfExp, ast.Dict, ast.List, ast.Tuple, ast.Set, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
    ast.comprehension, ast.Subscript, ast.Slice, ast.Attribute, ast.Name, ast.Constant, ast.JoinedStr,
    ast.FormattedValue, ast.Starred, ast.keyword, ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip
BUILTINS = frozenset(
    {"abs", "all", "any", "bool", "dict", "enumerate", "float", "int", "isinstance", "len", "list", "max", "min"}
    | {"range", "reversed", "round", "set", "sorted", "str", "sum", "tuple", "zip"}
)
"""What of Python's own a checker may call."""
METHODS = CHANGING | frozenset(
    {"get", "items", "keys", "values", "lower", "upper", "strip", "split", "join", "startswith", "endswith", "replace"}
    | {"isalnum", "isdigit", "isalpha", "index", "count"}
)  # No `format`: its placeholders reach attributes that the tree does not show.
_FORBIDDEN = frozenset(dir(builtins)) - BUILTINS


class CheckerError(VeriloopError):
    """A checker's source is not of the allowed subset."""


@lru_cache(maxsize=1024)
def validate_checker(source: str) -> bool:
    """Return whether a checker keeps nothing from one call to the next, whatever it is given (see `check.memory`).

    Raises CheckerError with the line when `source` uses more than the subset or defines no check(). What was allowed is
    remembered: a checker is looked at when it is attached, when it is proved and whenever it runs.
    """
    tree = _parse(source)
    nodes = list(ast.walk(tree))
    defined = {name for node in nodes if (name := _defined_name(node))}
    for node in nodes:
        if problem := _find_problem(node, defined | BUILTINS):
            raise CheckerError(f"checker line {getattr(node, 'lineno', 1)}: {problem}")
    checks = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "check"]
    if not checks or [argument.arg for argument in checks[0].args.args] != ["changes", "calls", "messages"]:
        raise CheckerError("checker defines no check(changes, calls, messages)")
    return keeps_nothing(tree)


def _parse(source: str) -> ast.Module:
    if len(source) > LONGEST_SOURCE:
        raise CheckerError(f"checker line 1: it has {len(source)} characters, at most {LONGEST_SOURCE} are allowed")
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise CheckerError(f"checker line {error.lineno or 1}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        # Text that is no text (lone surrogates, null bytes), or nested deeper than the parser goes.
        raise CheckerError(f"checker line 1: it cannot be parsed: {type(error).__name__}") from None


def _defined_name(node: ast.AST) -> str | None:
    """Return the name that a node gives a meaning to."""
    if isinstance(node, ast.Name):
        return node.id if isinstance(node.ctx, ast.Store) else None
    if isinstance(node, ast.FunctionDef):
        return node.name
    return node.arg if isinstance(node, ast.arg) else None


def _find_problem(node: ast.AST, names: set[str] | frozenset[str]) -> str | None:
    if not isinstance(node, _NODES):
        return f"{type(node).__name__} is not allowed"
    if isinstance(node, ast.FunctionDef) and node.decorator_list:
        return "decorators are not allowed"
    # Defined in one place, the name would pass as defined everywhere, and mean the builtin there.
    if (name := _defined_name(node)) and (name in _FORBIDDEN or name.startswith("__")):
        return f"name {name!r} may not be defined here"
    if isinstance(node, ast.Attribute) and node.attr not in METHODS:
        return f"attribute {node.attr!r} is not allowed"
    if isinstance(node, ast.Name) and node.id not in names:
        return f"name {node.id!r} is neither defined here nor an allowed builtin"
    return None
