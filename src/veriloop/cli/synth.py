"""`veriloop synth`."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from veriloop.cli.output import Result, show_progress, write_note
from veriloop.cli.scope import Only
from veriloop.core.errors import InputError
from veriloop.engine.difficulty import BAND, DIALOGUES
from veriloop.engine.gepa import PROPOSALS as TRIES
from veriloop.engine.role.model import ROLES, RoleModel, RoleModels
from veriloop.engine.role.table import read_roles
from veriloop.engine.synthesize import SynthConfig, SynthResult
from veriloop.pipeline.synthesis import Staff, run_synthesis
from veriloop.store.leakage import Leakage

PILOT, ITEMS_PER_PLAN = 48, 8
"""Items of a pilot, at least, and for each of many plans."""
LOST: dict[str, str] = {
    "synth": "with nothing to ask for",
    "duplicate": "made already",
    "proof": "not proved",
    "review": "sent back by the task verifier",
    "rollout": "in which no dialogue passed",
    "difficulty": "too easy or too hard for the solver (--band)",
}
"""Stage -> what is wrong with drafts given up there."""
NAMED = 5
"""Leaks told one by one."""
PROPOSALS = 3
"""Fewer than these are hardly worth their pilots."""


@Parameter(name="*")
@dataclass(frozen=True)
class Models:
    """Which roles of the engine models play."""

    roles: str = "scripted"
    """scripted, or llm: all roles by the model named with --model; or a TOML file with a section for each role."""
    model: str = ""
    """The model of all roles under `--roles llm`, of the reflector alone under `--search llm`; its name there."""
    base_url: str = ""
    """Where that model is served; empty for OpenAI's own."""
    key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key."""
    prices: Annotated[tuple[float, float], Parameter(name="--usd-per-mtok")] = (0.0, 0.0)
    """US dollars per million tokens, of prompts and of completions."""
    prompts: str = ""
    """Folder with edited prompts, such as `reflector.md`."""
    max_usd: Annotated[float | None, Parameter(validator=Number(gte=0))] = None
    """Stop with exit code 3 when the run's models have cost so much; resuming with more goes on."""

    def read(self, search: str | None) -> RoleModels:
        """Return the roles that models play; raises InputError for options that do not go together."""
        table = self.roles not in ("scripted", "llm")
        needs_model = self.roles == "llm" or (search == "llm" and not table)
        takes_model = needs_model or (search == "gepa" and not table)
        if (needs_model and not self.model) or (self.model and not takes_model):
            raise InputError(
                "--model goes with --roles llm, --search llm or --search gepa, and the first two with --model"
            )
        if table:
            return read_roles(Path(self.roles))
        if not self.model:
            return {}
        model = RoleModel(
            model=self.model, base_url=self.base_url, key_env=self.key_env, prices=self.prices, prompts=self.prompts
        )
        return dict.fromkeys(ROLES if self.roles == "llm" else ("reflector",), model)


@Parameter(name="*")
@dataclass(frozen=True)
class Evolution:
    """How plans are written, tried and changed."""

    plans: Annotated[int, Parameter(validator=Number(gte=1))] = 2
    """Plan pairs, each with a stream of its own."""
    rounds: Annotated[int, Parameter(validator=Number(gte=0))] = 1
    """Reflection rounds before the scale-up."""
    pilot: Annotated[int | None, Parameter(validator=Number(gte=2))] = None
    """Items of each pilot, by default eight a plan, at least 48. More of them tell a smaller rise from noise."""
    search: Literal["native", "random", "gepa", "llm"] | None = None
    """Who proposes changes: counting what the pilot made, chance as its control, GEPA, or a model that reads the same.
    By default the model where there is one for the reflector, else native."""
    verify: Annotated[bool, Parameter(negative="--no-verify")] = True
    """Prove tasks and keep only dialogues that pass; `--no-verify` keeps all drafts and dialogues, for ablations."""
    evolve: Annotated[bool, Parameter(negative="--no-evolve")] = True
    """Rewrite plans from the pilot's failures; `--no-evolve` keeps them as written."""
    checkers: Literal["compiled", "model"] = "compiled"
    """Who writes checkers: compiled from the task, or the synthesiser's model, where it hands one in; what it writes is
    proved like any other and runs in the sandbox alone."""
    speech: Literal["varied", "plain"] = "varied"
    """How callers talk: in many ways, with slips and changes of mind, or in few ways and without, for small models."""
    solver: str = ""
    """Who tries each proved task to see how hard it is: the folder of a trained agent, expert, random or noop; nobody
    by default. A served model is named as [solver] in the table of roles."""
    band: tuple[float, float] = BAND
    """Tasks are kept when a share of the solver's dialogues within these bounds passes."""
    trials: Annotated[int, Parameter(validator=Number(gte=1))] = DIALOGUES
    """Dialogues of the solver about each task."""
    models: Models = field(default_factory=Models)


@Parameter(name="*")
@dataclass(frozen=True)
class Draw:
    """Which databases tasks are about, and the seed they are drawn by."""

    seed: int = 0
    """Equal seeds give equal runs."""
    split: Literal["train", "test"] = "train"
    """test: databases that no training task uses, to measure on."""
    solo: Annotated[bool, Parameter(negative="")] = False
    """Tasks with a ticket instead of a user, for an agent who works alone; only tasks in which something is broken."""


@Parameter(name="*")
@dataclass(frozen=True)
class Running:
    """How the work is done; which tasks come of it does not depend on that."""

    resume: Annotated[bool, Parameter(negative="")] = False
    """Continue the run in `--out` where it was stopped."""
    workers: Annotated[int, Parameter(validator=Number(gte=1))] = 1
    """Processes that draft, prove and play. Models are asked from one."""
    executor: Literal["local", "ray"] = "local"
    """ray: on the cluster that RAY_ADDRESS names, else on one of so many processes on this machine."""


def synth_command(
    domain: str,
    *,
    n: Annotated[int, Parameter(name=["-n", "--tasks"], validator=Number(gte=1))],
    out: Path,
    draw: Draw | None = None,
    evolution: Evolution | None = None,
    only: Only | None = None,
    running: Running | None = None,
) -> Result:
    """Make proved tasks with demonstrations.

    Parameters
    ----------
    domain
        A name from `veriloop domains` or a path to a Python file.
    n
        Proved tasks wanted.
    out
        The run directory to make.
    """
    evolution, running = evolution or Evolution(), running or Running()
    config = build_config(n, draw or Draw(), evolution, only or Only())
    if note := _foretell(config):
        write_note(note)
    with show_progress(f"proving tasks of {domain}") as progress:
        result = run_synthesis(
            domain,
            out,
            config,
            resume=running.resume,
            max_usd=evolution.models.max_usd,
            staff=Staff(workers=running.workers, executor=running.executor),
            progress=progress,
        )
    met = result.proved >= n and not (result.leakage and result.leakage.leaks)
    return Result(result.model_dump(mode="json"), _describe(result), 0 if met else 1)


def build_config(n: int, draw: Draw, evolution: Evolution, only: Only) -> SynthConfig:
    """Return the settings of a synthesis run; raises InputError for options that do not go together."""
    roles = evolution.models.read(evolution.search)
    chosen = {**asdict(draw), **asdict(evolution)}
    del chosen["models"]
    chosen["pilot"] = evolution.pilot or max(PILOT, ITEMS_PER_PLAN * evolution.plans)
    chosen["search"] = evolution.search or ("llm" if "reflector" in roles else "native")
    return SynthConfig(n=n, scope=only.scope(), roles=roles, **chosen)


def _foretell(config: SynthConfig) -> str:
    """Say how many proposals the run will make at most, and whether that is enough to hope for a good one."""
    if not (config.evolve and config.rounds):
        return ""
    said = f"the plans will be changed {config.rounds} time{'s' if config.rounds > 1 else ''} at most"
    if config.search == "gepa":
        return f"{said}, each time by the best of {TRIES} proposals"
    if config.rounds < PROPOSALS:
        said += f"; of fewer than {PROPOSALS} proposals often none passes the gate (--rounds {PROPOSALS})"
    return said


def _describe(result: SynthResult) -> str:
    lost = ", ".join(f"{count} {LOST[stage]}" for stage, count in result.rejected.items())
    lines = [
        f"{result.proved} tasks proved of {result.attempted} drafts; {result.no_write} of them allow no change",
        *([f"drafts given up: {lost}"] if lost else []),
        f"checkers caught {result.mutation_score:.2%} of the mutants before acceptance"
        if result.mutation_score is not None
        else "nothing was verified",
    ]
    if result.solved is not None:
        lines.append(f"the solver passes in {result.solved:.2%} of its dialogues about them")
    if result.closest_plans is not None:
        lines.append(f"plans are at least {result.closest_plans:.3f} apart")
    lines += [f"round {entry.round}: fitness {entry.fitness}: {entry.reason}" for entry in result.rounds]
    lines += [
        f"{event.plan} {event.state} after item {event.position}: yield {event.found:.2f}, at least "
        f"{event.lowest:.2f} was to be expected"
        for event in result.streams
    ]
    lines += [
        f"{role}: {spent['answers']:.0f} answers, {spent['prompt_tokens'] + spent['completion_tokens']:.0f} tokens, "
        f"{spent['dollars']:.4f} USD"
        for role, spent in result.spent.items()
    ]
    lines += [*result.notes, *_describe_leakage(result.leakage)]
    return "\n".join([*lines, f"run: {result.run} ({result.seconds:.1f} s)"])


def _describe_leakage(leakage: Leakage | None) -> list[str]:
    """Say which tasks are too near to a benchmark's; there is no such line for a domain that holds nothing out."""
    if leakage is None:
        return []
    if not leakage.leaks:
        return [f"none of {leakage.checked} tasks is near to the benchmark's own"]
    named = [f"LEAK: task {leak.task} {leak.what}" for leak in leakage.leaks[:NAMED]]
    more = len(leakage.leaks) - len(named)
    return [*named, f"and {more} more"] if more else named
