"""The manifest: the hash of every file a run made, written last, so that a copy can be checked."""

import hashlib
from pathlib import Path

import veriloop
from veriloop.core.errors import InputError
from veriloop.store.file import read_json, write_json
from veriloop.store.leakage import Leakage

_FOLDERS = ("tasks", "checkers", "data", "models", "evals")
MANIFEST_VERSION = 1


def write_manifest(run: Path, leakage: Leakage | None = None) -> dict[str, str]:
    """Write `manifest.json` and return path -> SHA-256.

    leakage: what came of comparing the run's tasks with those of a benchmark, told as counts. The ledger is left out,
    it holds times and attempts; the report too, it is made from the rest.
    """
    files = hash_files(run)
    content = {"version": MANIFEST_VERSION, "veriloop": veriloop.__version__, "files": files}
    write_json(run / "manifest.json", content | ({"leakage": leakage.count()} if leakage else {}))
    return files


def hash_files(run: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a run by its path below it, in order of the paths."""
    paths = [run / "run.toml", *(file for folder in _FOLDERS for file in (run / folder).rglob("*"))]
    kept = sorted(path for path in paths if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(run).as_posix(): _hash(path) for path in kept}


def find_differences(run: Path) -> list[str]:
    """Return the paths that are missing, new or changed since the manifest was written."""
    file = run / "manifest.json"
    written = read_json(file).get("files")
    if not isinstance(written, dict):
        raise InputError(f"{str(file)!r} is no manifest; finish the run to have it written again")
    current = hash_files(run)
    return sorted(path for path in written.keys() | current.keys() if written.get(path) != current.get(path))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
