"""A run is a directory: `run.toml` says what it is, the ledger what was done, everything else is made from the two."""

import fcntl
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from veriloop.core.errors import InputError
from veriloop.store.file import StoreError, write_text
from veriloop.store.ledger import Ledger
from veriloop.store.toml import dump_toml

RUN_VERSION = 1


class Run:
    """An open run directory; use it as a context manager.

    config: the resolved settings of `run.toml` without its version.
    """

    def __init__(self, path: Path, config: dict[str, Any], ledger: Ledger, lock: int | None = None) -> None:
        self.path, self.config, self.ledger = path, config, ledger
        self._lock = lock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def domain(self) -> str:
        """The name of the domain the run is about."""
        return self.config["domain"]

    def directory(self, name: str) -> Path:
        """Return a sub-directory such as `tasks` or `models`, which may not exist yet."""
        return self.path / name

    def close(self) -> None:
        """Close the ledger and let other processes write."""
        self.ledger.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def create_run(path: Path, config: Mapping[str, Any], *, resume: bool = False) -> Run:
    """Create the run directory `path`, or continue it when `resume` and its settings are the same.

    config holds at least `domain`; its values are scalars, lists and mappings of them. Raises InputError when the
    directory exists without `resume`, belongs to something else, was made with other settings, is in use or cannot
    be written.
    """
    settings = _plain(config)
    if (path / "run.toml").exists():
        if not resume:
            raise InputError(f"run {str(path)!r} exists already; continue it with --resume or choose another --out")
        _compare(path, read_config(path), settings)
    else:
        _make_directory(path)
    lock = _lock(path)
    try:
        ledger = Ledger(path / "ledger.sqlite")
        if not (path / "run.toml").exists():
            write_text(path / "run.toml", dump_toml({"version": RUN_VERSION, **settings}))
    except BaseException:
        os.close(lock)
        raise
    return Run(path, settings, ledger, lock)


def open_run(path: Path) -> Run:
    """Open an existing run; raises InputError naming what is missing, corrupt or newer than this veriloop."""
    config = read_config(path)
    ledger = path / "ledger.sqlite"
    if not ledger.is_file():
        raise InputError(f"run {str(path)!r} has no ledger.sqlite; restore it from a copy or start a new run")
    return Run(path, config, Ledger(ledger))


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings of the run directory `path`."""
    file = path / "run.toml"
    if not file.is_file():
        raise InputError(
            f"{str(path)!r} is no run: it has no run.toml; make one with `veriloop synth DOMAIN --out RUN`"
        )
    try:
        config = tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{str(file)!r} cannot be read: {error}; restore it from a copy") from error
    version = config.pop("version", None)
    if not isinstance(version, int) or version > RUN_VERSION:
        raise InputError(
            f"run {str(path)!r} has version {version!r}, this veriloop reads up to {RUN_VERSION}; upgrade veriloop"
        )
    return config


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as reading `run.toml` back gives them."""
    return tomllib.loads(dump_toml(config))


def _compare(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            raise InputError(
                f"run {str(path)!r} was made with {key} = {old.get(key)!r}, not {new.get(key)!r}; "
                "resume it with the same settings or choose another --out"
            )


def _make_directory(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise InputError(f"--out {str(path)!r} is a file; choose a directory")
    try:
        # A run killed before its run.toml was written leaves a ledger at most; anything else is not ours.
        if path.is_dir() and any(not _ours(entry) for entry in path.iterdir()):
            raise InputError(f"--out {str(path)!r} is not empty and no run; choose another directory")
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"cannot write to --out {str(path)!r}: {error.strerror}; choose a directory you can write to"
        ) from error


def _ours(entry: Path) -> bool:
    return entry.name.startswith(("ledger.sqlite", ".run.toml", ".probe"))


def _lock(path: Path) -> int:
    """Lock the directory against other writers; the lock dies with the process, however that ends."""
    try:
        lock = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise StoreError(f"cannot open {str(path)!r}: {error.strerror}; check its permissions") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise InputError(f"run {str(path)!r} is in use by another process; wait for it to end or stop it") from error
    return lock
