"""One seed of an ablation: a folder, and steps done in it whose results are JSON files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from veriloop.core.errors import InputError
from veriloop.engine.synthesize import SynthConfig
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.store.file import read_json, write_json

Work = Callable[[], dict[str, Any]]


class Lab:
    """Does one seed's steps; the result of each is a JSON file in `out/steps`.

    needs: the steps, those that others wait for longest first, and the steps that each builds on.
    """

    needs: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(self, domain: str, seed: int, out: Path) -> None:
        self.name, self.seed, self.out = domain, seed, out
        self.models = out / "models"

    def has_done(self, step: str) -> bool:
        """Return whether a step's result is there."""
        return self._file(step).exists()

    def read(self, step: str) -> dict[str, Any]:
        """Return the result of a step that was done."""
        return read_json(self._file(step))

    def do(self, step: str) -> None:
        """Do a step whose needs are done, and store its result."""
        write_json(self._file(step), self.work()[step]())

    def work(self) -> dict[str, Work]:
        """Return what does each step."""
        raise NotImplementedError

    def synthesise(self, folder: str, config: SynthConfig) -> dict[str, Any]:
        """Make the tasks of a run in a folder of this one; InputError where the scope offers too few."""
        out = self.out / folder
        made = run_synthesis(self.name, out, config, resume=(out / "run.toml").exists())
        if made.proved < config.n:
            ways = "fewer --tasks and --held-out, or more room in --only-tools and --only-tiers"
            raise InputError(f"only {made.proved} of {config.n} {folder} tasks could be proved; take {ways}")
        return made.model_dump(mode="json")

    def _file(self, step: str) -> Path:
        return self.out / "steps" / f"{step}.json"
