"""Crews: items made in other processes, of this machine or of a Ray cluster, and handed back to who stores them.

An item depends on its order, its plan and what was accepted before it was begun, so whoever makes it makes the same.
"""

import asyncio
import functools
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Literal

from veriloop.core.errors import VeriloopError
from veriloop.core.extra import needs_extra
from veriloop.domains.registry import load_domain
from veriloop.engine.difficulty import Trial
from veriloop.engine.plan import PlanPair, Workflow
from veriloop.engine.setting import Order
from veriloop.engine.stream import Bench, Item, Taken, make_item
from veriloop.pipeline.players import Casting, find_player
from veriloop.pipeline.process import end_with_parent
from veriloop.pipeline.roles import Troupe

Executor = Literal["local", "ray"]
RESTARTS = 5
"""How often one item is begun anew after the process that made it died."""


@dataclass(frozen=True, slots=True)
class Site:
    """What a worker needs to set up a bench like that of the run: all that its scripted roles depend on."""

    domain: str
    verify: bool
    solver: str
    band: tuple[float, float]
    trials: int
    slips: float = 0.0


@dataclass(frozen=True, slots=True)
class Work:
    """One item to make. taken: ids of tasks that exist already, as far as this item came upon them."""

    pair: PlanPair
    workflow: Workflow
    order: Order
    taken: frozenset[str] = frozenset()


Submit = Callable[[Work], Coroutine[Any, Any, Item]]


async def make_elsewhere(submit: Submit, pair: PlanPair, workflow: Workflow, order: Order, is_taken: Taken) -> Item:
    """Return an item made elsewhere, where nobody knows what is taken.

    One that comes back with a taken task is made again with that task known: it then takes the way it would have taken
    here, since a task that was accepted once is not rejected for anything else.
    """
    taken = frozenset[str]()
    while True:
        item = await submit(Work(pair, workflow, order, taken))
        if item.task is None or not is_taken(item.task.id):
            return item
        taken |= {item.task.id}


class ProcessCrew:
    """Processes of this machine. One that dies is replaced, and what it had in hand is made again."""

    def __init__(self, site: Site, workers: int) -> None:
        self._site, self._workers = site, workers
        self._pool = self._open()

    async def make(self, pair: PlanPair, workflow: Workflow, order: Order, is_taken: Taken) -> Item:
        """Make one item."""
        return await make_elsewhere(self._submit, pair, workflow, order, is_taken)

    def close(self) -> None:
        """End the processes; what they have in hand is given up."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _submit(self, work: Work) -> Item:
        for _ in range(RESTARTS):
            pool = self._pool
            try:
                return await asyncio.wrap_future(pool.submit(_make_in_process, work))
            except BrokenProcessPool:
                # All that was under way fails with it; the first to notice opens the next pool.
                if pool is self._pool:
                    pool.shutdown(wait=False)
                    self._pool = self._open()
        raise VeriloopError(
            f"the processes that make item {work.order.item} died {RESTARTS} times; is there memory for all of them? "
            "What was made is stored: run it again with --resume and fewer --workers"
        )

    def _open(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._workers, mp_context=get_context("spawn"), initializer=_start_process, initargs=(self._site,)
        )


class RayCrew:
    """Workers of a Ray cluster: the one that RAY_ADDRESS names, else one of `workers` processes on this machine.

    Ray makes again what a worker that died had in hand.
    """

    def __init__(self, site: Site, workers: int) -> None:
        with needs_extra("ray"):
            import ray
            import ray.exceptions
        self._ray, self._errors = ray, ray.exceptions
        local = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers, "include_dashboard": False}
        ray.init(logging_level=logging.ERROR, log_to_driver=False, **local)
        self._remote = ray.remote(max_retries=RESTARTS)(_make_at_site)
        self._site = site

    async def make(self, pair: PlanPair, workflow: Workflow, order: Order, is_taken: Taken) -> Item:
        """Make one item."""
        return await make_elsewhere(self._submit, pair, workflow, order, is_taken)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        self._ray.shutdown()

    async def _submit(self, work: Work) -> Item:
        try:
            return await self._remote.remote(self._site, work)
        except self._errors.RayTaskError as error:
            raise error.cause from None
        except self._errors.RayError as error:
            raise VeriloopError(
                f"the Ray cluster did not make item {work.order.item}: {error}; what was made is stored, run it again "
                "with --resume"
            ) from error


CREWS: dict[Executor, type[ProcessCrew | RayCrew]] = {"local": ProcessCrew, "ray": RayCrew}


@functools.lru_cache(maxsize=1)
def set_up(site: Site) -> Bench:
    """Return the bench of a site, set up once in each process."""
    domain = load_domain(site.domain)
    solver = find_player(site.solver, "agent", Casting(domain)) if site.solver else None
    trial = Trial(solver, site.band, site.trials) if solver else None
    return Troupe(domain, {}).make_bench(verify=site.verify, trial=trial, slips=site.slips)


def _make_at_site(site: Site, work: Work) -> Item:
    return asyncio.run(make_item(set_up(site), work.pair, work.workflow, work.order, work.taken.__contains__))


_site: list[Site] = []
"""Where this process works: what the initializer of a pool leaves for the work that comes after."""


def _start_process(site: Site) -> None:
    # Ctrl-C reaches every process of a terminal; the one that started these decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    _site[:] = [site]


def _make_in_process(work: Work) -> Item:
    return _make_at_site(_site[0], work)
