"""Everything shown in the docs works: commands are run in the order of their page, snippets executed, TOML compared.

Commands that train are parsed only, they have their own tests; those that ask an endpoint get a server that plays it.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers.roles import RoleServer
from veriloop.cli.main import COMMANDS, make_app, run
from veriloop.domains.parcel import load_parcel
from veriloop.engine.role.table import read_roles
from veriloop.rollout.experts import load_expert
from veriloop.store.fault import MENDS, SEVERITIES, Fault, Mend

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
SHOWN = "http://127.0.0.1:8000/v1"
"""The address in the docs' examples."""
PARSED_ONLY = ("demo", "sft", "rl", "ablate")
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    kind: str
    file: str | None
    text: str


def read_blocks(page: Path) -> list[Block]:
    return [Block(*found.groups()) for found in BLOCK.finditer(page.read_text())]


def parse(arguments: list[str]) -> None:
    """Read a command line without running it; raises when an option is unknown."""
    make_app().parse_args(arguments, exit_on_error=False, print_error=False)


@pytest.fixture(scope="module")
def endpoint():
    with RoleServer(load_parcel(), load_expert("parcel")) as server:
        yield server.base_url


def serve(arguments: list[str], stack: ExitStack) -> str:
    """Serve the folder that a page names, an untrained model, until the page ends; returns the address."""
    for needed in ("torch", "uvicorn", "openai"):
        pytest.importorskip(needed)
    from servers.served import make_loaded, serving
    from veriloop.local.model import save_model

    parse(arguments)
    save_model(make_loaded(), Path(arguments[1]))
    return stack.enter_context(serving(arguments[1])).url


def run_command(line: str, endpoint: str) -> None:
    words = shlex.split(line.replace(SHOWN, endpoint))
    if words[0] != "veriloop":
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        subprocess.run(line, shell=True, check=True, capture_output=True, env={**os.environ, "PATH": path})
        return
    arguments = words[1:]
    if arguments[0] in PARSED_ONLY:
        parse(arguments)
        return
    if any("tau2" in word or "official" in word for word in arguments):
        pytest.importorskip("tau2")
    # Big runs are made small: the page's point is the command, not its size.
    small = [
        ("6" if before == "-n" and int(word) > 20 else word)
        for before, word in zip(["", *arguments], arguments, strict=False)
    ]
    if any(word.startswith("official:") for word in small):
        parse(small)
        return
    assert run(small) == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(
    page: Path, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
):
    monkeypatch.chdir(tmp_path)
    stack = ExitStack()
    request.addfinalizer(stack.close)
    for block in read_blocks(page):
        if block.kind == "python" and block.file:
            (tmp_path / block.file).write_text(block.text)
        elif block.kind == "python":
            exec(compile(block.text.replace(SHOWN, endpoint), str(page), "exec"), {})
        elif block.kind == "console":
            for line in block.text.splitlines():
                assert line.startswith("$ ")
                if line.startswith("$ veriloop serve "):
                    endpoint = serve(shlex.split(line)[2:], stack)
                else:
                    run_command(line[2:], endpoint)
        elif block.kind == "toml" and block.file:
            (tmp_path / block.file).write_text(block.text.replace(SHOWN, endpoint))
            assert read_roles(tmp_path / block.file)
        elif block.kind == "toml":
            shown = tomllib.loads(block.text)
            assert shown == tomllib.loads((tmp_path / "runs" / "parcel" / "run.toml").read_text())
        else:
            pytest.fail(f"{page.name}: nothing runs a {block.kind!r} block")


def test_lines_of_the_readme_parse():
    lines = re.findall(r"`veriloop ([^`]+)`", (ROOT / "README.md").read_text())
    full = [line for line in lines if len(line.split()) > 1]
    assert len(full) >= 5
    for line in full:
        parse(shlex.split(line))


def test_readme_names_the_make_targets_there_are():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"setup", "demo", "test"} <= targets
    assert set(re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE)) <= targets


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_command_is_described_somewhere():
    text = " ".join(page.read_text() for page in PAGES)
    missing = [name for name in COMMANDS if f"veriloop {name}" not in text and f"make {name}" not in text]
    assert not missing


def test_architecture_names_every_layer():
    layers = {path.name for path in (ROOT / "src" / "veriloop").iterdir() if (path / "__init__.py").exists()}
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert not [layer for layer in layers if not re.search(rf"^{layer}/", text, re.MULTILINE)]


def test_pages_name_files_that_exist():
    text = (ROOT / "docs" / "architecture.md").read_text()
    for name in re.findall(r"`([a-z0-9_]+/[a-z0-9_/]+\.py)`", text):
        assert (ROOT / "src" / "veriloop" / name).is_file(), name


def test_the_audits_page_tells_every_finding_as_it_is():
    words = {Mend.MENDED: "mends it", Mend.DROPPED: "leaves it out", Mend.GATED: "leaves it out where it fails"}
    lines = re.findall(
        r"^\| `(\w+)` \| (\w+) \| .+ \| (.+) \|$", (ROOT / "docs" / "audit.md").read_text(), re.MULTILINE
    )
    told = {name: (severity, mend) for name, severity, mend in lines}
    assert told == {fault.value: (SEVERITIES[fault].value, words[MENDS[fault]]) for fault in Fault}
    assert [name for name, _, _ in lines] == [fault.value for fault in Fault if fault.value in told]
