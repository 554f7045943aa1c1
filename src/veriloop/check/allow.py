"""The subset of Python that a checker may use; everything else is refused before it is written or run."""

import ast

from veriloop.core.errors import VeriloopError

_NODES = (
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.For,
    ast.If, ast.Expr, ast.Continue, ast.Break, ast.Pass, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call,
    ast.IfExp, ast.Dict, ast.List, ast.Tuple, ast.Set, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
    ast.comprehension, ast.Subscript, ast.Slice, ast.Attribute, ast.Name, ast.Constant, ast.JoinedStr,
    ast.FormattedValue, ast.Starred, ast.keyword, ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip
_BUILTINS = frozenset(
    {"abs", "all", "any", "bool", "dict", "enumerate", "float", "int", "isinstance", "len", "list", "max", "min"}
    | {"range", "reversed", "round", "set", "sorted", "str", "sum", "tuple", "zip"}
)
_METHODS = frozenset(
    {"get", "items", "keys", "values", "lower", "upper", "strip", "split", "join", "startswith", "endswith", "replace"}
    | {"isalnum", "isdigit", "isalpha", "append", "extend", "add", "index", "count", "format"}
)


class CheckerError(VeriloopError):
    """A checker's source is not of the allowed subset."""


def validate_checker(source: str) -> None:
    """Raise CheckerError with the line when `source` uses more than the subset or defines no check()."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise CheckerError(f"checker line {error.lineno}: {error.msg}") from None
    defined = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    defined |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    defined |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if problem := _find_problem(node, defined | _BUILTINS):
            raise CheckerError(f"checker line {getattr(node, 'lineno', 1)}: {problem}")
    checks = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "check"]
    if not checks or [argument.arg for argument in checks[0].args.args] != ["changes", "calls", "messages"]:
        raise CheckerError("checker defines no check(changes, calls, messages)")


def _find_problem(node: ast.AST, names: set[str] | frozenset[str]) -> str | None:
    if not isinstance(node, _NODES):
        return f"{type(node).__name__} is not allowed"
    if isinstance(node, ast.FunctionDef) and node.decorator_list:
        return "decorators are not allowed"
    if isinstance(node, ast.Attribute) and node.attr not in _METHODS:
        return f"attribute {node.attr!r} is not allowed"
    if isinstance(node, ast.Name) and node.id not in names:
        return f"name {node.id!r} is neither defined here nor an allowed builtin"
    return None
