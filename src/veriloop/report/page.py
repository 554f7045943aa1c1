"""Writes the report: gathers a run's facts and renders them into one HTML file without scripts or outside links."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

import veriloop
from veriloop.core.errors import InputError
from veriloop.report.agreement import SHOWN, Agreement, read_agreement
from veriloop.report.chart import draw_bar, draw_interval, draw_lines
from veriloop.report.coverage import Coverage, ProofFacts, read_coverage, read_proofs
from veriloop.report.dialogue import Shown, pick_demonstrations, pick_played
from veriloop.report.evolution import trace_fitness
from veriloop.report.funnel import Funnel, read_funnel
from veriloop.report.score import Curves, Difference, ScoreTable, compare_evals, read_figures, read_scores
from veriloop.store.file import write_text
from veriloop.store.result import read_fidelity
from veriloop.store.run import open_run


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a page says about one run."""

    name: str
    domain: str
    config: dict[str, str]
    versions: dict[str, str]
    funnel: Funnel
    coverage: Coverage
    proofs: ProofFacts
    agreements: list[Agreement]
    rounds: list[dict[str, Any]]
    fidelity: dict[str, Any] | None
    scores: list[ScoreTable]
    curves: list[Curves]
    demonstrations: list[Shown]
    played: list[Shown]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Another run beside this one."""

    other: Facts
    differences: list[Difference]


def write_report(run_path: Path, compare: Path | None = None) -> Path:
    """Write `report.html` into a run directory and return its path; `compare` names a second run to set beside it.

    Raises InputError for a directory that is no run or holds files that cannot be read.
    """
    facts = read_facts(run_path)
    comparison = None
    if compare is not None:
        if compare.resolve() == run_path.resolve():
            raise InputError(f"{str(compare)!r} is the run itself; name another one to compare with")
        comparison = Comparison(read_facts(compare), compare_evals(run_path, compare))
    path = run_path / "report.html"
    write_text(path, render_page(facts, comparison).rstrip("\n"))
    return path


def read_facts(run_path: Path) -> Facts:
    """Return the facts of a run, finished or not."""
    with open_run(run_path) as run:
        stored: dict[str, Any] = run.ledger.get_meta("versions", {})
        return Facts(
            name=run_path.resolve().name,
            domain=run.domain,
            config=dict(_flatten(run.config)),
            versions={"veriloop": veriloop.__version__, **{name: str(value) for name, value in stored.items()}},
            funnel=read_funnel(run),
            coverage=read_coverage(run),
            proofs=read_proofs(run),
            agreements=read_agreement(run),
            rounds=run.ledger.get_meta("rounds", []),
            fidelity=read_fidelity(run_path),
            scores=read_scores(run_path),
            curves=read_figures(run_path),
            demonstrations=pick_demonstrations(run),
            played=pick_played(run_path),
        )


def render_page(facts: Facts, comparison: Comparison | None = None) -> str:
    """Return the page; whatever comes from the run is escaped."""
    environment = make_environment()
    environment.globals.update(trace_fitness=trace_fitness, disagreements_shown=SHOWN)
    return environment.get_template("page.html.j2").render(facts=facts, comparison=comparison, style=read_style())


def make_environment() -> jinja2.Environment:
    """Return what renders this package's templates, with their charts and spellings."""
    folder = resources.files("veriloop.report")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
    )
    environment.filters.update(percent=spell_percent, number=spell_number)
    environment.globals.update(draw_bar=draw_bar, draw_interval=draw_interval, draw_lines=draw_lines)
    return environment


def read_style() -> Markup:
    """Return the style sheet that every page carries in itself."""
    return Markup(resources.files("veriloop.report").joinpath("style.css").read_text(encoding="utf-8"))


def spell_percent(share: float | None) -> str:
    """Return a share as a percentage with one decimal, a dash for None.

    More decimals, four at most, where one would make nearly all into all or nearly none into none.
    """
    if share is None:
        return "–"
    texts = [f"{100 * share:.{digits}f}" for digits in (1, 2, 3, 4)]
    return next((text for text in texts if float(text) not in (0, 100)), texts[0]) + " %"


def spell_number(value: float | None) -> str:
    """Return a count with thin spaces between thousands, or a number with three decimals, a dash for None."""
    if value is None or value != value:
        return "–"
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else f"{value:.3f}"


def _flatten(config: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return settings as (dotted name, text), `domain` left out: it heads the page."""
    rows: list[tuple[str, str]] = []
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            rows += _flatten(value, f"{name}.")
        elif name != "domain":
            rows.append((name, str(value)))
    return rows
