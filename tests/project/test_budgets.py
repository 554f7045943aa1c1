"""The size and shape that the code keeps to; see AGENTS.md for the reasons."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "veriloop"
MODULES = sorted(SOURCE.rglob("*.py"))
FILE_LINES, FUNCTION_LINES, PARAMETERS, ROOT_NAMES, TEST_RATIO = 500, 80, 7, 30, 0.8
NAMES_NOT_USED = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}

# Code that is not ours runs behind these; everywhere else an error's class is known and named.
BOUNDARIES = {
    "domains/registry.py",  # a domain file, or the entry point of another package
    "evaluate/official_package.py",  # the package's evaluator, and the models it asks
    "domains/tau2/shared.py",  # the package's tools, which refuse a call by raising anything
    "domains/tool.py",  # a domain's tools, when they are called
    "domains/clause.py",  # a domain's clauses, when they are asked
    "pipeline/coverage.py",  # a domain's clauses, whose crash is the finding
    "pipeline/check_domain.py",  # a domain's tools, whose crash is the finding
}


def trees() -> list[tuple[str, ast.Module]]:
    return [(path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text())) for path in MODULES]


def functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module]
    return []


def test_files_are_short():
    long = {str(path): count for path in MODULES if (count := len(path.read_text().splitlines())) > FILE_LINES}
    assert not long


def test_functions_are_short():
    long = [
        f"{name}:{node.lineno} {node.name}"
        for name, tree in trees()
        for node in functions(tree)
        if (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES
    ]
    assert not long


def test_functions_take_few_parameters():
    many = []
    for name, tree in trees():
        for node in functions(tree):
            given = node.args
            named = [
                p.arg for p in (*given.posonlyargs, *given.args, *given.kwonlyargs) if p.arg not in ("self", "cls")
            ]
            if len(named) + bool(given.vararg) + bool(given.kwarg) > PARAMETERS:
                many.append(f"{name}:{node.lineno} {node.name}")
    assert not many


def test_modules_have_telling_names():
    assert not [path for path in MODULES if path.stem in NAMES_NOT_USED]


def test_root_package_is_small():
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    names = [alias for node in tree.body if isinstance(node, ast.ImportFrom | ast.Import) for alias in node.names]
    assert len(names) + sum(isinstance(node, ast.Assign) for node in tree.body) <= ROOT_NAMES


def guards_an_extra(node: ast.AST) -> bool:
    return isinstance(node, ast.With) and any(
        isinstance(item.context_expr, ast.Call)
        and isinstance(item.context_expr.func, ast.Name)
        and item.context_expr.func.id == "needs_extra"
        for item in node.items
    )


def inner_imports(node: ast.AST, guarded: bool = False) -> list[tuple[int, str]]:
    """Return first-party imports below a function that stand under no extra's guard."""
    guarded = guarded or guards_an_extra(node)
    found = []
    for child in ast.iter_child_nodes(node):
        if not guarded:
            found += [(child.lineno, name) for name in imported(child) if name.startswith("veriloop")]
        found += inner_imports(child, guarded)
    return found


def test_no_first_party_import_inside_a_function():
    found = [
        f"{name}:{line} {module}"
        for name, tree in trees()
        for node in functions(tree)
        for line, module in inner_imports(node)
    ]
    assert not found


def test_inner_import_check_sees_what_it_should():
    free = ast.parse("def f():\n    import veriloop.core")
    guarded = ast.parse("def f():\n    with needs_extra('train'):\n        from veriloop.local import player")
    assert inner_imports(free) == [(2, "veriloop.core")]
    assert inner_imports(guarded) == []


def module_name(path: str) -> str:
    return ".".join(["veriloop", *path.removesuffix(".py").removesuffix("/__init__").split("/")])


def test_no_import_cycle():
    names = {module_name(name): tree for name, tree in trees() if name != "__init__.py"}
    edges = {}
    for module, tree in names.items():
        targets = set()
        for node in ast.walk(tree):
            for target in imported(node):
                inner = [f"{target}.{alias.name}" for alias in getattr(node, "names", [])]
                targets |= {name for name in (target, *inner) if name in names and name != module}
        edges[module] = targets
    assert find_cycle(edges) is None


def find_cycle(edges: dict[str, set[str]]) -> list[str] | None:
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str] | None:
        if node in path:
            return path[path.index(node) :]
        if node in done:
            return None
        for target in sorted(edges.get(node, ())):
            if cycle := visit(target, [*path, node]):
                return cycle
        done.add(node)
        return None

    return next((cycle for node in sorted(edges) if (cycle := visit(node, []))), None)


def test_cycle_check_finds_a_cycle():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}}) is None


def test_broad_except_only_at_declared_boundaries():
    found = {
        name
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception"))
    }
    assert found == BOUNDARIES


def test_enough_tests():
    code = sum(len(path.read_text().splitlines()) for path in MODULES)
    tests = sum(len(path.read_text().splitlines()) for path in (ROOT / "tests").rglob("*.py"))
    assert tests >= TEST_RATIO * code, f"{tests} lines of tests for {code} lines of code"


@pytest.mark.parametrize("name", ["AGENTS.md"])
def test_guides_are_short(name: str):
    assert len((ROOT / name).read_text().splitlines()) < 80


def test_nothing_speaks_of_where_it_was_made():
    words = re.compile(r"/work/|issues? (show|#)\d*|\bTODO\b|\bFIXME\b|XXX")
    files = [*MODULES, *(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "AGENTS.md"]
    assert not [str(path) for path in files if words.search(path.read_text())]


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_import_is_fast_and_light():
    code = (
        "import time, sys; t = time.perf_counter(); import veriloop; "
        "heavy = {'torch', 'aiohttp', 'openai', 'transformers', 'tau2'} & set(sys.modules); "
        "print(time.perf_counter() - t, sorted(heavy))"
    )
    seconds, heavy = min(run_python(code).split(" ", 1) for _ in range(3))
    assert float(seconds) < 0.3
    assert heavy == "[]"


@pytest.mark.parametrize(
    "command",
    ["audit", "demo", "domains", "check", "synth", "export", "sft", "rl", "serve", "eval", "ablate", "report"],
)
def test_help_loads_nothing_heavy(command: str):
    code = (
        "import sys, contextlib, io; from veriloop.cli.main import run\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out: code = run([" + repr(command) + ", '--help'])\n"
        "heavy = {'torch', 'aiohttp', 'openai', 'transformers', 'trl', 'tau2', 'litellm', 'uvicorn'}\n"
        "heavy &= set(sys.modules)\n"
        "print(code, sorted(heavy), 'Usage' in out.getvalue())"
    )
    assert run_python(code) == "0 [] True"


def test_overview_imports_no_command():
    code = (
        "import sys, contextlib, io; from veriloop.cli.main import run\n"
        "with contextlib.redirect_stdout(io.StringIO()): run(['--version'])\n"
        "print([name for name in sys.modules if name.startswith('veriloop.engine')])"
    )
    assert run_python(code) == "[]"
