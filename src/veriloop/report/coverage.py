"""What the proved tasks exercise and how they were proved: tools, clauses, tiers, classes of mutants."""

from collections import Counter
from dataclasses import dataclass, field

from veriloop.core.errors import VeriloopError
from veriloop.domains.domain import Domain, agent_actions
from veriloop.domains.registry import load_domain
from veriloop.store.result import iter_tasks
from veriloop.store.run import Run


@dataclass(frozen=True, slots=True)
class ClauseRow:
    """One clause: in how many tasks it bears on a request, and in how many it demands the refusal."""

    id: str
    text: str
    met: int
    refused: int


@dataclass(slots=True)
class ProofFacts:
    """Sums over the proofs of accepted tasks.

    classes: kind of mutant -> [tried, caught, equivalent]. alternatives: kind of valid path -> paths played.
    """

    proofs: int = 0
    replays: int = 0
    classes: dict[str, list[int]] = field(default_factory=dict)
    alternatives: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Coverage:
    """Counts over the proved tasks. tools and clauses list what the domain has, also where no task exercises it.

    solver, solved: who tried the tasks, and "passed of tried" dialogues -> tasks; empty where nobody did.
    """

    tasks: int = 0
    no_write: int = 0
    databases: int = 0
    personas: int = 0
    tiers: Counter[str] = field(default_factory=Counter)
    tools: dict[str, int] = field(default_factory=dict)
    clauses: list[ClauseRow] = field(default_factory=list)
    domain_known: bool = True
    solver: str = ""
    solved: dict[str, int] = field(default_factory=dict)


def read_coverage(run: Run) -> Coverage:
    """Return what a run's proved tasks cover; a domain that cannot be loaded any more leaves what the tasks name."""
    domain = _find_domain(run)
    coverage = Coverage(domain_known=domain is not None)
    tools, met, refused = Counter[str](), Counter[str](), Counter[str]()
    databases, personas = set[str](), set[str]()
    for _, task in iter_tasks(run):
        coverage.tasks += 1
        coverage.no_write += task.tags.no_write
        coverage.tiers[task.tags.tier] += 1
        tools.update(task.tags.tools)
        met.update(task.tags.clauses)
        refused.update(set(task.refused))
        databases.add(task.initial.database)
        personas.add(task.user.persona)
    coverage.databases, coverage.personas = len(databases), len(personas)
    writes = [tool.name for tool in agent_actions(domain)] if domain else []
    coverage.tools = {name: tools[name] for name in dict.fromkeys([*writes, *sorted(tools)])}
    texts = {clause.id: clause.text for clause in domain.clauses} if domain else {}
    names = dict.fromkeys([*texts, *sorted(met | refused)])
    coverage.clauses = [ClauseRow(name, texts.get(name, ""), met[name], refused[name]) for name in names]
    coverage.solver, coverage.solved = _read_difficulty(run)
    return coverage


def _read_difficulty(run: Run) -> tuple[str, dict[str, int]]:
    found = [entry.payload for entry in run.ledger.entries("difficulty", "done")]
    counts = Counter((tried["tried"], tried["passed"]) for tried in found)
    return (found[0]["solver"] if found else ""), {f"{p} of {n}": count for (n, p), count in sorted(counts.items())}


def read_proofs(run: Run) -> ProofFacts:
    """Return the sums over the stored proofs."""
    facts = ProofFacts()
    for entry in run.ledger.entries("proof", "done"):
        proof = entry.payload
        facts.proofs += 1
        facts.replays += proof.get("replays", 0)
        facts.alternatives.update(proof.get("alternatives", {}))
        for name, score in proof["classes"].items():
            sums = facts.classes.setdefault(name, [0, 0, 0])
            for position, key in enumerate(("tried", "caught", "equivalent")):
                sums[position] += score.get(key, 0)
    return facts


def _find_domain(run: Run) -> Domain | None:
    try:
        return load_domain(run.domain)
    except VeriloopError:
        return None
