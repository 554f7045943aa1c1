"""Whether a checker could remember anything: what it never changes, but for values of its own making, it cannot keep.

Within the allowed subset a value is changed by three methods, by storing into a part of it and by augmented assignment.
The answer errs on the safe side: a checker that does no more than it seems may still count as one that could.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

CHANGING = frozenset({"append", "extend", "add"})
"""Methods of the allowed subset that change what they are called on."""
_NEW = (
    ast.List, ast.ListComp, ast.Dict, ast.DictComp, ast.Set, ast.SetComp, ast.Tuple, ast.Constant, ast.JoinedStr,
    ast.BinOp,
)  # fmt: skip
"""Expressions whose value nobody else has, or cannot be changed."""
_MAKERS = frozenset({"dict", "list", "set", "sorted"})
"""Builtins that return a value which nobody else has; a checker that means something else by them counts as one that
could keep things."""


def keeps_nothing(tree: ast.Module) -> bool:
    """Return whether no call of a checker's functions can leave anything behind for the next one."""
    nodes = list(ast.walk(tree))
    if any(_redefines(node) for node in nodes) or any(_is_used_up(part) for part in _made_once(tree)):
        return False
    return all(_changes_its_own(scope) for scope in nodes if isinstance(scope, ast.Module | ast.FunctionDef))


def _redefines(node: ast.AST) -> bool:
    """Return whether a node gives a maker's name another meaning."""
    if isinstance(node, ast.Name):
        return node.id in _MAKERS and not isinstance(node.ctx, ast.Load)
    return (isinstance(node, ast.FunctionDef) and node.name in _MAKERS) or (
        isinstance(node, ast.arg) and node.arg in _MAKERS
    )


def _changes_its_own(scope: ast.Module | ast.FunctionDef) -> bool:
    """Return whether a scope changes nothing but what it made and has a name for."""
    nodes = list(_walk_scope(scope))
    own = _find_own(scope, nodes)
    return all(_is_harmless(node, own) for node in nodes)


def _is_harmless(node: ast.AST, own: set[str]) -> bool:
    if isinstance(node, ast.AugAssign):
        # What is added to a part of one's own may change the part, which may be somebody else's; a number changes none.
        return _is_number(node.value) or (isinstance(node.target, ast.Name) and node.target.id in own)
    if isinstance(node, ast.Attribute):
        return isinstance(node.ctx, ast.Load) and (node.attr not in CHANGING or _is_named(node.value, own))
    return not isinstance(node, ast.Subscript) or isinstance(node.ctx, ast.Load) or _is_named(node.value, own)


def _walk_scope(scope: ast.Module | ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes that run when a scope does: of functions in it what is around their bodies."""
    waiting: list[ast.AST] = [*scope.body]
    while waiting:
        node = waiting.pop()
        yield node
        inner = node.args if isinstance(node, ast.FunctionDef) else node
        waiting += ast.iter_child_nodes(inner)


def _find_own(scope: ast.Module | ast.FunctionDef, nodes: list[ast.AST]) -> set[str]:
    """Return the names that are only ever given to new values in a scope."""
    stored, new = Counter[str](), Counter[str]()
    taken = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    if isinstance(scope, ast.FunctionDef):
        taken |= {node.arg for node in ast.walk(scope.args) if isinstance(node, ast.arg)}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            stored[node.id] += 1
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            stored[node.target.id] -= 1
        elif isinstance(node, ast.Assign):
            new.update(name for target in node.targets for name in _name_new(target, node.value))
        elif isinstance(node, ast.AnnAssign) and node.value:
            new.update(_name_new(node.target, node.value))
    return {name for name, count in new.items() if stored[name] == count} - taken


def _name_new(target: ast.expr, value: ast.expr) -> Iterator[str]:
    """Yield the names that an assignment gives to new values."""
    if isinstance(target, ast.Name) and _is_new(value):
        yield target.id
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and _is_plain(target, value):
        for part, given in zip(target.elts, value.elts, strict=True):
            yield from _name_new(part, given)


def _is_plain(target: ast.Tuple, value: ast.Tuple) -> bool:
    """Return whether each part of a target is given the part of the value at its place."""
    starred = any(isinstance(part, ast.Starred) for part in (*target.elts, *value.elts))
    return not starred and len(target.elts) == len(value.elts)


def _is_new(value: ast.expr) -> bool:
    if isinstance(value, ast.IfExp):
        return _is_new(value.body) and _is_new(value.orelse)
    if isinstance(value, ast.Call):
        return _is_named(value.func, _MAKERS)
    return isinstance(value, _NEW) or (isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Slice))


def _is_named(value: ast.expr, names: AbstractSet[str]) -> bool:
    return isinstance(value, ast.Name) and value.id in names


def _is_number(value: ast.expr) -> bool:
    if isinstance(value, ast.IfExp):
        return _is_number(value.body) and _is_number(value.orelse)
    return isinstance(value, ast.Constant) and isinstance(value.value, int | float)


def _made_once(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield what all calls of the functions share: the values of the module and of defaults."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield from (*node.args.defaults, *filter(None, node.args.kw_defaults))
        else:
            yield node


def _is_used_up(part: ast.AST) -> bool:
    """Return whether a value may be an iterator, which gives less to the second who reads it."""
    return any(isinstance(node, ast.Call | ast.GeneratorExp) for node in ast.walk(part))
