"""Turns the table of roles into players, verifiers and writers that share one budget and one cache."""

from collections.abc import Mapping
from pathlib import Path

from veriloop.check.sandbox import shared_sandbox
from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.engine.difficulty import Trial
from veriloop.engine.evolution import Search
from veriloop.engine.gepa import GepaSearch
from veriloop.engine.reflection import reflect
from veriloop.engine.role.cast import AnyPlayer, Demonstrator
from veriloop.engine.role.model import SOLVER, Role, RoleModel, RoleModels
from veriloop.engine.role.planner import ModelPlanner
from veriloop.engine.role.reflector import ModelReflector
from veriloop.engine.role.synthesiser import ModelSynthesiser
from veriloop.engine.role.verifier import ModelVerifier
from veriloop.engine.search import SEARCHES
from veriloop.engine.stream import AHEAD, Bench
from veriloop.engine.synthesis import ScriptedSynthesiser
from veriloop.llm.cache import Cache
from veriloop.llm.client import Client, Endpoint
from veriloop.llm.price import Budget, Price
from veriloop.llm.retry import Retry
from veriloop.llm.transport import check_reachable
from veriloop.rollout.endpoint import EndpointPlayer
from veriloop.rollout.experts import EXPERTS, load_expert
from veriloop.rollout.oracle import Oracle
from veriloop.rollout.scripted import ScriptedUser
from veriloop.rollout.slip import Slipping

STREAM_ROLES: tuple[Role, ...] = (
    "synthesiser", "task_verifier", "user", "agent", "trajectory_verifier", "solver", "judge",
)  # fmt: skip
"""Roles that are asked for every item."""
ITEMS_PER_REQUEST = 4
"""Items under way for each request that may be in flight, so that slow items leave the endpoint enough to do."""
SAMPLES = 4
"""Answers drawn for one turn of a demonstration while they cannot be used; a solver, who is measured, has one."""


def check_roles(roles: RoleModels, max_usd: float | None) -> None:
    """Raise InputError when a model cannot be asked, or its cost cannot be limited, as it is given."""
    for role, model in roles.items():
        if min(model.prices) < 0:
            raise InputError(f"the prices of the {role}, {model.prices}, are negative; give what a million tokens cost")
        if max_usd is not None and not any(model.prices):
            raise InputError(
                f"--max-usd needs prices to count with, and the {role} has none; give --usd-per-mtok, or `prices` in "
                "the table of roles"
            )
        if model.base_url and not model.base_url.startswith(("http://", "https://")):
            raise InputError(
                f"base URL {model.base_url!r} of the {role} is no address; it looks like http://127.0.0.1:8000/v1"
            )
        if model.prompts and not Path(model.prompts).is_dir():
            raise InputError(f"--prompts {model.prompts!r} is no folder; make one with a {role}.md in it")
        Client(_point_to(model)).read_key()


def check_endpoints(roles: RoleModels) -> None:
    """Raise InputError when nothing listens where a role's model is said to be served."""
    for address in dict.fromkeys(model.base_url for model in roles.values()):
        check_reachable(address or None)


class Troupe:
    """The models of a run and who they play."""

    def __init__(
        self,
        domain: Domain,
        roles: RoleModels,
        cache: Cache | None = None,
        *,
        max_usd: float | None = None,
        clients: Mapping[Role, Client] | None = None,
    ) -> None:
        """Take the table of roles.

        cache: holds what earlier sessions of the run paid for, which counts as spent. clients: who is asked for each
        role instead of the endpoints that the table names.
        """
        self._domain, self._roles, cache = domain, roles, cache or Cache()
        self._budget = Budget(max_usd, sum(used["dollars"] for used in cache.add_up().values()))
        self._clients = clients if clients is not None else _connect(roles, self._budget, cache)

    def make_bench(
        self, *, verify: bool = True, trial: Trial | None = None, slips: float = 0.0, writes_checkers: bool = False
    ) -> Bench:
        """Return the bench on which every role without a model is scripted.

        trial: with its own solver. slips: share of its dialogues in which a scripted agent errs. writes_checkers:
        whether the synthesiser's model may hand in checkers of its own.
        """
        lines = {_point_to(self._roles[role]) for role in STREAM_ROLES if role in self._roles}
        width = sum(endpoint.width for endpoint in lines) * ITEMS_PER_REQUEST or AHEAD
        return Bench(
            domain=self._domain,
            sandbox=shared_sandbox(),
            user=self.find_player("user") or ScriptedUser(),
            agent=self.find_player("agent") or find_demonstrator(self._domain, slips),
            verify=verify,
            planner=self._find_planner(),
            synthesiser=self._find_synthesiser(writes_checkers),
            task_verifier=self._find_verifier("task_verifier"),
            trajectory_verifier=self._find_verifier("trajectory_verifier"),
            judge=self._find_verifier("judge"),
            trial=trial,
            width=width,
            line=self if self._clients else None,
        )

    def search(self, name: str) -> Search | None:
        """Return who proposes changes under a name: the reflector's model for "llm", else a script.

        GEPA has its proposals made by the model, where there is one.
        """
        if name not in ("llm", "gepa"):
            return SEARCHES.get(name)
        found = self._find("reflector")
        reflector = ModelReflector(found[0], self._domain, prompts=found[2]) if found else None
        return GepaSearch(reflector or reflect) if name == "gepa" else reflector

    def _find_planner(self) -> ModelPlanner | None:
        found = self._find("planner")
        return ModelPlanner(found[0], options=found[1], prompts=found[2]) if found else None

    def _find_synthesiser(self, writes_checkers: bool) -> ModelSynthesiser | ScriptedSynthesiser:
        found = self._find("synthesiser")
        if found is None:
            return ScriptedSynthesiser()
        client, options, prompts = found
        return ModelSynthesiser(client, options=options, prompts=prompts, writes_checkers=writes_checkers)

    def _find_verifier(self, role: Role) -> ModelVerifier | None:
        found = self._find(role)
        return ModelVerifier(found[0], self._domain, options=found[1], prompts=found[2]) if found else None

    def find_player(self, role: Role) -> AnyPlayer | None:
        """Return the model that plays a seat, or tries tasks; None where none does."""
        found = self._find(role)
        if found is None:
            return None
        client, options, prompts = found
        own = prompts / f"{role}.md" if prompts else None
        guidelines = own.read_text(encoding="utf-8") + "\n" if own and own.is_file() else None
        model, samples = client.endpoint.model, 1 if role == SOLVER else SAMPLES
        return EndpointPlayer(model, options=options, guidelines=guidelines, samples=samples, client=client)

    def _find(self, role: Role) -> tuple[Client, dict, Path | None] | None:
        if role not in self._roles:
            return None
        model = self._roles[role]
        return self._clients[role], dict(model.options), Path(model.prompts) if model.prompts else None

    def halt(self) -> None:
        """Refuse every request from now on."""
        self._budget.halt()

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.close()


def find_demonstrator(domain: Domain, slips: float = 0.0) -> AnyPlayer | Demonstrator:
    """Return what demonstrates tasks without a model: the domain's expert where there is one, else an oracle.

    slips: share of its dialogues in which it errs.
    """
    if domain.name in EXPERTS:
        expert = load_expert(domain.name)
        return Slipping(expert, slips) if slips else expert

    def demonstrate(task: Task) -> AnyPlayer:
        oracle = Oracle(domain, {task.id: task})
        return Slipping(oracle, slips) if slips else oracle

    return demonstrate


def _connect(roles: RoleModels, budget: Budget, cache: Cache) -> dict[Role, Client]:
    """Return a client for each role; those at one endpoint share its line."""
    lines, clients = dict[Endpoint, Client](), dict[Role, Client]()
    for role, model in roles.items():
        endpoint = _point_to(model)
        line = lines.setdefault(endpoint, Client(endpoint, budget, cache=cache))
        clients[role] = line.serve(role)
    return clients


def _point_to(model: RoleModel) -> Endpoint:
    return Endpoint(
        model.model,
        model.base_url or None,
        model.key_env,
        timeout=model.timeout,
        width=model.width,
        retry=Retry(attempts=model.attempts),
        price=Price(*model.prices),
    )
